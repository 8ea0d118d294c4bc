"""Pure: how sure a mean is, how much seeds move it, and figures of any choice of validation images."""
