"""Whole models that MMDetection's zoo trained on COCO, for ``pretrained: coco``: (model, backbone) -> address.

Of the files that the wheel's metafiles list (``mmdet/.mim/configs/*/metafile.yml``, field Weights) those whose tensors
have the names and shapes of ours for 80 classes, and whose backbone wants the same pixels and strides; where several
do, the one with the highest mask AP. Where ResNet strikes back was the start, it is the weights of that backbone.
"""

from __future__ import annotations

_ROOT = "https://download.openmmlab.com/mmdetection"
_FILES = {
    "cascade_mask_rcnn": {
        "hrnet_w32": "v2.0/hrnet/cascade_mask_rcnn_hrnetv2p_w32_20e_coco/"
        "cascade_mask_rcnn_hrnetv2p_w32_20e_coco_20200512_154043-39d9cf7b.pth",
        "regnetx_3_2gf": "v2.0/regnet/cascade_mask_rcnn_regnetx-3.2GF_fpn_mstrain_3x_coco/"
        "cascade_mask_rcnn_regnetx-3_20210715_211616-b9c2c58b.pth",
        "res2net101": "v2.0/res2net/cascade_mask_rcnn_r2_101_fpn_20e_coco/"
        "cascade_mask_rcnn_r2_101_fpn_20e_coco-8a7b41e1.pth",
        "resnet101": "v2.0/cascade_rcnn/cascade_mask_rcnn_r101_fpn_mstrain_3x_coco/"
        "cascade_mask_rcnn_r101_fpn_mstrain_3x_coco_20210628_165236-51a2d363.pth",
        "resnet50": "v2.0/cascade_rcnn/cascade_mask_rcnn_r50_fpn_mstrain_3x_coco/"
        "cascade_mask_rcnn_r50_fpn_mstrain_3x_coco_20210628_164719-5bdc3824.pth",
        "resnet50_rsb": "v2.0/resnet_strikes_back/cascade_mask_rcnn_r50_fpn_rsb-pretrain_1x_coco/"
        "cascade_mask_rcnn_r50_fpn_rsb-pretrain_1x_coco_20220113_193636-8b9ad50f.pth",
        "resnext101_32x4d": "v2.0/cascade_rcnn/cascade_mask_rcnn_x101_32x4d_fpn_mstrain_3x_coco/"
        "cascade_mask_rcnn_x101_32x4d_fpn_mstrain_3x_coco_20210706_225234-40773067.pth",
        "resnext101_64x4d": "v2.0/cascade_rcnn/cascade_mask_rcnn_x101_64x4d_fpn_mstrain_3x_coco/"
        "cascade_mask_rcnn_x101_64x4d_fpn_mstrain_3x_coco_20210719_210311-d3e64ba0.pth",
    },
    "condinst": {
        "resnet50": "v3.0/condinst/condinst_r50_fpn_ms-poly-90k_coco_instance/"
        "condinst_r50_fpn_ms-poly-90k_coco_instance_20221129_125223-4c186406.pth",
    },
    "htc": {
        "hrnet_w32": "v2.0/hrnet/htc_hrnetv2p_w32_20e_coco/"
        "htc_hrnetv2p_w32_20e_coco_20200207-7639fa12.pth",
        "res2net101": "v2.0/res2net/htc_r2_101_fpn_20e_coco/"
        "htc_r2_101_fpn_20e_coco-3a8d2112.pth",
        "resnet101": "v2.0/htc/htc_r101_fpn_20e_coco/"
        "htc_r101_fpn_20e_coco_20200317-9b41b48f.pth",
        "resnet50": "v2.0/htc/htc_r50_fpn_20e_coco/"
        "htc_r50_fpn_20e_coco_20200319-fe28c577.pth",
        "resnext101_32x4d": "v2.0/htc/htc_x101_32x4d_fpn_16x1_20e_coco/"
        "htc_x101_32x4d_fpn_16x1_20e_coco_20200318-de97ae01.pth",
        "resnext101_64x4d": "v2.0/htc/htc_x101_64x4d_fpn_16x1_20e_coco/"
        "htc_x101_64x4d_fpn_16x1_20e_coco_20200318-b181fd7a.pth",
    },
    "mask2former": {
        "resnet101": "v3.0/mask2former/mask2former_r101_8xb2-lsj-50e_coco/"
        "mask2former_r101_8xb2-lsj-50e_coco_20220426_100250-ecf181e2.pth",
        "resnet50": "v3.0/mask2former/mask2former_r50_8xb2-lsj-50e_coco/"
        "mask2former_r50_8xb2-lsj-50e_coco_20220506_191028-41b088b6.pth",
        "swin_tiny": "v3.0/mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco/"
        "mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco_20220508_091649-01b0f990.pth",
    },
    "mask_rcnn": {
        "hrnet_w32": "v2.0/hrnet/mask_rcnn_hrnetv2p_w32_2x_coco/"
        "mask_rcnn_hrnetv2p_w32_2x_coco_20200213-45b75b4d.pth",
        "regnetx_3_2gf": "v2.0/regnet/mask_rcnn_regnetx-3.2GF_fpn_mstrain_3x_coco/"
        "mask_rcnn_regnetx-3.2GF_fpn_mstrain_3x_coco_20200521_202221-99879813.pth",
        "res2net101": "v2.0/res2net/mask_rcnn_r2_101_fpn_2x_coco/"
        "mask_rcnn_r2_101_fpn_2x_coco-17f061e8.pth",
        "resnet101": "v2.0/mask_rcnn/mask_rcnn_r101_fpn_mstrain-poly_3x_coco/"
        "mask_rcnn_r101_fpn_mstrain-poly_3x_coco_20210524_200244-5675c317.pth",
        "resnet50": "v2.0/mask_rcnn/mask_rcnn_r50_fpn_mstrain-poly_3x_coco/"
        "mask_rcnn_r50_fpn_mstrain-poly_3x_coco_20210524_201154-21b550bb.pth",
        "resnet50_gc": "v2.0/gcnet/mask_rcnn_r50_fpn_syncbn-backbone_r4_gcb_c3-c5_1x_coco/"
        "mask_rcnn_r50_fpn_syncbn-backbone_r4_gcb_c3-c5_1x_coco_20200202-50b90e5c.pth",
        "resnet50_rsb": "v2.0/resnet_strikes_back/mask_rcnn_r50_fpn_rsb-pretrain_1x_coco/"
        "mask_rcnn_r50_fpn_rsb-pretrain_1x_coco_20220113_174054-06ce8ba0.pth",
        "resnext101_32x4d": "v2.0/mask_rcnn/mask_rcnn_x101_32x4d_fpn_mstrain-poly_3x_coco/"
        "mask_rcnn_x101_32x4d_fpn_mstrain-poly_3x_coco_20210524_201410-abcd7859.pth",
        "resnext101_64x4d": "v2.0/mask_rcnn/mask_rcnn_x101_64x4d_fpn_mstrain-poly_3x_coco/"
        "mask_rcnn_x101_64x4d_fpn_mstrain-poly_3x_coco_20210526_120447-c376f129.pth",
        "swin_tiny": "v2.0/swin/mask_rcnn_swin-t-p4-w7_fpn_fp16_ms-crop-3x_coco/"
        "mask_rcnn_swin-t-p4-w7_fpn_fp16_ms-crop-3x_coco_20210908_165006-90a4008c.pth",
    },
    "ms_rcnn": {
        "resnext101_32x4d": "v2.0/ms_rcnn/ms_rcnn_x101_32x4d_fpn_1x_coco/"
        "ms_rcnn_x101_32x4d_fpn_1x_coco_20200206-81fd1740.pth",
        "resnext101_64x4d": "v2.0/ms_rcnn/ms_rcnn_x101_64x4d_fpn_1x_coco/"
        "ms_rcnn_x101_64x4d_fpn_1x_coco_20200206-86ba88d2.pth",
    },
    "queryinst": {
        "resnet101": "v2.0/queryinst/queryinst_r101_fpn_mstrain_480-800_3x_coco/"
        "queryinst_r101_fpn_mstrain_480-800_3x_coco_20210904_104048-91f9995b.pth",
        "resnet50": "v2.0/queryinst/queryinst_r50_fpn_mstrain_480-800_3x_coco/"
        "queryinst_r50_fpn_mstrain_480-800_3x_coco_20210901_103643-7837af86.pth",
    },
    "rtmdet_ins": {
        "cspnext_s": "v3.0/rtmdet/rtmdet-ins_s_8xb32-300e_coco/"
        "rtmdet-ins_s_8xb32-300e_coco_20221121_212604-fdc5d7ec.pth",
    },
    "scnet": {
        "resnet101": "v2.0/scnet/scnet_r101_fpn_20e_coco/"
        "scnet_r101_fpn_20e_coco-294e312c.pth",
        "resnet50": "v2.0/scnet/scnet_r50_fpn_20e_coco/"
        "scnet_r50_fpn_20e_coco-a569f645.pth",
        "resnext101_64x4d": "v2.0/scnet/scnet_x101_64x4d_fpn_20e_coco/"
        "scnet_x101_64x4d_fpn_20e_coco-fb09dec9.pth",
    },
    "solov2": {
        "resnet50": "v2.0/solov2/solov2_r50_fpn_3x_coco/"
        "solov2_r50_fpn_3x_coco_20220512_125856-fed092d4.pth",
    },
}  # fmt: skip

COCO: dict[tuple[str, str], str] = {
    (model, backbone): f"{_ROOT}/{file}" for model, files in _FILES.items() for backbone, file in files.items()
}
