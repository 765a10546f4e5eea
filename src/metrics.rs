//! The scores of the ABAW challenge: CCC, F1, P.
