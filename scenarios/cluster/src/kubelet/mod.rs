//! Room: kubelet.
