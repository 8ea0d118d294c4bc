"""Tables of results from elsewhere: what their rows mean in a study, and who may learn from them."""
