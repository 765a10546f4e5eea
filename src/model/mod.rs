//! The multitask DDAMFN network: layers, heads, weights in and out, inference forms.
