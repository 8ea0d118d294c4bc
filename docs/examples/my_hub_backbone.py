"""A backbone of Hugging Face's: any AutoBackbone that gives four maps."""

from runner.catalog import Backbone, add

add(
    Backbone(
        "convnext_small",
        "ConvNeXt-S",
        "arXiv:2201.03545",
        config={
            "type": "HFBackbone",
            "model_type": "convnext",
            "config": {"depths": [3, 3, 27, 3], "hidden_sizes": [96, 192, 384, 768]},
            "out_indices": (0, 1, 2, 3),
        },
        tiny={"config": {"depths": [1, 1, 2, 1], "hidden_sizes": [16, 32, 64, 128]}},
        channels=(96, 192, 384, 768),
        tiny_channels=(16, 32, 64, 128),
        imagenet="facebook/convnext-small-224",
        fresh=("hidden_states_norms",),
        optimizer="AdamW",
        lr=0.0001,
        weight_decay=0.05,
    )
)
