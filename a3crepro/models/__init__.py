"""Networks at flat vectors of parameters: with autograd, or by the fast path."""
