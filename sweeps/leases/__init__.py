"""Who trains which trial: a pure state machine of leases, the rules of failures, and doing what they say."""
