"""Second factors: what somebody has, beside the password that they know."""
