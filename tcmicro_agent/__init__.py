"""tcmicro: an eBPF (tc) micro-segmentation agent and its policy language."""
