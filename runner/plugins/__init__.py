"""What MMDetection lacks, registered with it. Importing this package is enough."""

import os

# before Albumentations is imported, with MMDetection's transforms: it would ask the network for a newer version
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

from runner.plugins.accumulation import AccumulationHook
from runner.plugins.amp import StudyAmpOptimWrapper
from runner.plugins.closure import ClosureOptimWrapper
from runner.plugins.colour import StudyAlbu, StudyPhotoMetricDistortion
from runner.plugins.empty_batches import LenientDIIHead, LenientPointRendRoIHead
from runner.plugins.geometry import BoxesFromMasks, StudyMinIoURandomCrop, StudyRotate, StudyShearX, StudyShearY
from runner.plugins.hf_backbone import HFBackbone
from runner.plugins.hrnet import PickedHRNet
from runner.plugins.layer_decay import LayerDecayConstructor
from runner.plugins.lbfgs import ShortStepLBFGS
from runner.plugins.masks import InsideDynamicMaskHead, TrueSizeRTMDetInsHead
from runner.plugins.metric import StudyMetric
from runner.plugins.mixing import StudyCopyPaste, StudyMixDataset, StudyMosaic
from runner.plugins.norm import LenientBN
from runner.plugins.one_cycle import GroupOneCycleLR
from runner.plugins.reproducible import ReproducibleHook, keep_torch_seeds
from runner.plugins.share import StudyShareDataset
from runner.plugins.sparse_adam import DenseSparseAdam
from runner.plugins.weights import load_from_cache

__all__ = [
    "AccumulationHook",
    "BoxesFromMasks",
    "ClosureOptimWrapper",
    "DenseSparseAdam",
    "GroupOneCycleLR",
    "HFBackbone",
    "InsideDynamicMaskHead",
    "LayerDecayConstructor",
    "LenientBN",
    "LenientDIIHead",
    "LenientPointRendRoIHead",
    "PickedHRNet",
    "ReproducibleHook",
    "ShortStepLBFGS",
    "StudyAlbu",
    "StudyAmpOptimWrapper",
    "StudyCopyPaste",
    "StudyMetric",
    "StudyMinIoURandomCrop",
    "StudyMixDataset",
    "StudyMosaic",
    "StudyPhotoMetricDistortion",
    "StudyRotate",
    "StudyShareDataset",
    "StudyShearX",
    "StudyShearY",
    "TrueSizeRTMDetInsHead",
    "keep_torch_seeds",
    "load_from_cache",
]
