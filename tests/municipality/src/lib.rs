//! A synthetic municipality: the traffic it sends, with planted incidents and their ground truth.
