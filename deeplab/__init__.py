"""The model: backbones, nets and what trains them."""
