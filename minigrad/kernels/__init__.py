"""Array in, array out: the numerical routines behind the operations. No Tensor, no gradient."""
