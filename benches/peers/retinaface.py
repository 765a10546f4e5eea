"""RetinaFace mobilenet0.25 in PyTorch (arXiv 1905.00641), on weights whose batch normalisation is folded in."""
import torch
from torch import nn
from torch.nn import functional as F


class RetinaFace(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weights = nn.ParameterDict({name.replace(".", "_"): nn.Parameter(t.float()) for name, t in weights.items()})

    def convolve(self, name, x, stride=1):
        name = name.replace(".", "_")
        weight, bias = self.weights[name + "_weight"], self.weights[name + "_bias"]
        return F.conv2d(x, weight, bias, stride, weight.shape[2] // 2, groups=x.shape[1] // weight.shape[1])

    def leaky(self, name, x, stride=1):
        return F.leaky_relu(self.convolve(name, x, stride), 0.1)

    def pairs(self, stage, first, x, strides):
        for number, stride in enumerate(strides, first):
            x = self.leaky(f"body.{stage}.{number}.0", x, stride)
            x = self.leaky(f"body.{stage}.{number}.3", x)
        return x

    def context(self, name, x):
        three = self.convolve(f"{name}.conv3X3.0", x)
        begun = self.leaky(f"{name}.conv5X5_1.0", x)
        five = self.convolve(f"{name}.conv5X5_2.0", begun)
        seven = self.convolve(f"{name}.conv7x7_3.0", self.leaky(f"{name}.conv7X7_2.0", begun))
        return F.relu(torch.cat([three, five, seven], 1))

    def head(self, name, levels, values):
        answers = [self.convolve(f"{name}.{i}.conv1x1", x) for i, x in enumerate(levels)]
        return torch.cat([a.permute(0, 2, 3, 1).reshape(a.shape[0], -1, values) for a in answers], 1)

    def forward(self, x):
        """`[N, 3, H, W]`, BGR minus (104, 117, 123), to scores `[N, P]`, boxes `[N, P, 4]`, landmarks `[N, P, 10]`."""
        x = self.leaky("body.stage1.0.0", x, 2)
        fine = self.pairs("stage1", 1, x, [1, 2, 1, 2, 1])
        middle = self.pairs("stage2", 0, fine, [2, 1, 1, 1, 1, 1])
        coarse = self.pairs("stage3", 0, middle, [2, 1])
        fine = self.leaky("fpn.output1.0", fine)
        middle = self.leaky("fpn.output2.0", middle)
        coarse = self.leaky("fpn.output3.0", coarse)
        middle = self.leaky("fpn.merge2.0", middle + F.interpolate(coarse, size=middle.shape[2:]))
        fine = self.leaky("fpn.merge1.0", fine + F.interpolate(middle, size=fine.shape[2:]))
        levels = [self.context(f"ssh{i + 1}", x) for i, x in enumerate((fine, middle, coarse))]
        classes = self.head("ClassHead", levels, 2)
        return classes.softmax(-1)[..., 1], self.head("BboxHead", levels, 4), self.head("LandmarkHead", levels, 10)
