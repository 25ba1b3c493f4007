"""Networks: what they multiply, how errors travel through them, how accurate they stay."""
