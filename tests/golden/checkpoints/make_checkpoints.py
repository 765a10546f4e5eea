"""Makes the checkpoints in this folder: one small file for every shape in which PyTorch weights are passed on.

    python3 make_checkpoints.py [FULL.safetensors]

Needs torch 2.13, numpy and safetensors. With FULL (a whole network's state dict, of which only names
and shapes are taken) the two `*_constant.pth.gz` are made too. Every value is a multiple of 1/8 below 16,
exact in half and bfloat16, so the tensors of all small files equal `expected.safetensors`.
"""

import argparse
import gzip
import os
import pathlib
import sys
import types
import zipfile
from collections import OrderedDict

sys.setdlopenflags(os.RTLD_LAZY)  # lets a CPU-only set of libtorch's files be imported
import numpy
import torch
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
CONV = "features.0.conv.weight"


def eighths(*shape):
    count = int(numpy.prod(shape))
    return ((torch.arange(count) * 37 % 255 - 127) / 8).reshape(shape)


def tiny():
    """A few of the network's names with small shapes, as `state_dict()` gives them."""
    state = OrderedDict()
    state[CONV] = eighths(4, 3, 3, 3)
    state["features.0.bn.running_var"] = eighths(4).abs()
    state["features.0.bn.num_batches_tracked"] = torch.tensor(4321)
    state["custom_classifier.val_arousal.weight"] = eighths(2, 6)
    state._metadata = OrderedDict([("", {"version": 1}), ("features.0.bn", {"version": 2})])
    return state


def each(change, state=None):
    return OrderedDict((name, change(tensor)) for name, tensor in (state or tiny()).items())


def renamed(rename):
    return OrderedDict((rename(name), tensor) for name, tensor in tiny().items())


def to_float(kind):
    return lambda tensor: tensor.to(kind) if tensor.is_floating_point() else tensor


def in_backbone(name):
    return "module." + (name if name.startswith("custom") else "backbone." + name)


def views_of_one_storage():
    """All float tensors are slices of one storage, the convolution with its axes reversed."""
    state = tiny()
    parts = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
    parts[CONV] = parts[CONV].permute(3, 2, 1, 0)
    store = torch.cat([part.reshape(-1) for part in parts.values()])
    at = 0
    for name, part in parts.items():
        state[name] = store[at : at + part.numel()].view(part.shape)
        at += part.numel()
    state[CONV] = state[CONV].permute(3, 2, 1, 0)
    return state


def every_other():
    """Steps in memory of more than one element, and of none (an expanded tensor)."""
    state = tiny()
    state[CONV] = torch.stack([state[CONV], -state[CONV]], dim=-1)[..., 0]
    state["expanded"] = torch.tensor([1.5]).expand(8)
    return state


def parameters():
    state = each(lambda tensor: torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor)
    state[CONV].note = "an attribute of the parameter"
    return state


def trained(state):
    """What a training loop saves: the optimiser holds tensors too, and half its numbers are not tensors."""
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight], lr=1e-5)
    weight.sum().backward()
    optimizer.step()
    return {"iter": 25, "model_state_dict": state, "optimizer_state_dict": optimizer.state_dict()}


def whole_module():
    """A module of a class that only its author has, as in `MFN_msceleb.pth`."""
    networks = types.ModuleType("networks")
    module = types.ModuleType("networks.MixedFeatureNet")

    class MixedFeatureNet(torch.nn.Sequential):
        pass

    MixedFeatureNet.__module__ = module.__name__
    MixedFeatureNet.__qualname__ = "MixedFeatureNet"
    module.MixedFeatureNet = MixedFeatureNet
    sys.modules.update({"networks": networks, module.__name__: module})
    return MixedFeatureNet(torch.nn.Conv2d(3, 4, 3))


class Shell:
    """Runs a command in whoever unpickles it: `touch` beside the caller shows that it ran."""

    def __reduce__(self):
        return os.system, ("touch executed_by_a_pickle",)


def small_files():
    save = lambda what, name, **more: torch.save(what, HERE / name, **more)
    save_file({**tiny()}, HERE / "expected.safetensors")
    save(trained(tiny()), "model_state_dict.pth")
    save(trained(each(to_float(torch.bfloat16))), "protocol4.pth", pickle_protocol=4)
    run = argparse.Namespace(lr=1e-5, name="run 7")
    imagenet_style = {"epoch": 3, "arch": "ddamfn", "state_dict": tiny(), "best_acc1": torch.tensor(0.64)}
    save({**imagenet_style, "args": run, "loss": numpy.float64(0.5), "seen": {1, 2}}, "state_dict.pt")
    save({"model": tiny(), "model_ema": each(lambda t: t * 0)}, "model.pth")
    save({"net": tiny(), "epoch": 1}, "net.pth")
    save(tiny(), "ordered_dict.pth")
    save(dict(tiny()), "dict.pt")
    save(renamed(lambda name: "module." + name), "module_prefix.pth")
    save({"state_dict": renamed(in_backbone)}, "module_backbone_prefix.pth")
    save(each(to_float(torch.float16)), "half.pth")
    save(each(to_float(torch.bfloat16)), "bfloat16.pth")
    save(each(to_float(torch.float64)), "float64.pth")
    save(views_of_one_storage(), "shared_storage.pth")
    save(every_other(), "strided.pth")
    save(parameters(), "parameters.pth")
    save(trained(tiny()), "legacy.pth", _use_new_zipfile_serialization=False)
    save(views_of_one_storage(), "legacy_shared_storage.pth", _use_new_zipfile_serialization=False)

    twice = {**tiny(), **{"student." + name: tensor for name, tensor in tiny().items()}}
    save({"a": tiny(), "b": tiny()}, "refused_two_models.pth")
    save({"model.a." + n: t for n, t in tiny().items()} | {"model.b." + n: t for n, t in tiny().items()}, "refused_two_prefixes.pth")
    save(twice, "network_and_student.pth")
    save({"epoch": 3, "losses": [0.5, 0.25]}, "refused_no_tensors.pth")
    save(whole_module(), "refused_whole_module.pth")
    save({"model_state_dict": tiny(), "extra": Shell()}, "refused_os_system.pth")
    save({"model_state_dict": tiny(), "extra": Shell()}, "refused_os_system_legacy.pth", _use_new_zipfile_serialization=False)
    torch.jit.script(torch.nn.Linear(2, 2)).save(HERE / "refused_torchscript.pt")
    big_endian(HERE / "ordered_dict.pth", HERE / "refused_big_endian.pth")


def big_endian(source, target):
    """The same archive, saying that its numbers are big-endian."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"big" if name.endswith("byteorder") else old.read(name))


def constant_files(full):
    """Whole networks whose i-th tensor is everywhere (i % 255 + 1) / 8, packed with gzip."""
    multitask = OrderedDict()
    for i, (name, tensor) in enumerate(sorted(load_file(full).items())):
        multitask[name] = torch.full_like(tensor, 7 if tensor.dtype == torch.int64 else (i % 255 + 1) / 8)
    pack(trained(multitask), "multitask_constant.pth.gz")
    single = OrderedDict((n, t) for n, t in multitask.items() if not n.startswith("custom_classifier."))
    single["fc.weight"], single["fc.bias"] = torch.full((8, 512), 0.5), torch.full((8,), 0.25)
    single = each(to_float(torch.float16), single)
    pack(OrderedDict(("module." + name, tensor) for name, tensor in single.items()), "affectnet8_half_constant.pth.gz")


def pack(what, name):
    plain = HERE / name.removesuffix(".gz")
    torch.save(what, plain)
    (HERE / name).write_bytes(gzip.compress(plain.read_bytes(), 9, mtime=0))
    plain.unlink()


if __name__ == "__main__":
    small_files()
    if len(sys.argv) > 1:
        constant_files(sys.argv[1])
