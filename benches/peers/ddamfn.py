"""DDAMFN in PyTorch as its facts describe it (arXiv 2407.12390), parameters under the names of its checkpoints.

Not its authors' code. Compared with in tests/training/parity.rs and by `make bench`.
"""
import torch
from torch import nn
from torch.nn import functional as F


class ConvBn(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1, padding=0, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.bn(self.conv(x))


class ConvBnPrelu(ConvBn):
    def __init__(self, inputs, outputs, kernel, stride=1, padding=0, groups=1):
        super().__init__(inputs, outputs, kernel, stride, padding, groups)
        self.prelu = nn.PReLU(outputs)

    def forward(self, x):
        return self.prelu(super().forward(x))


class Gates(nn.Module):
    """Coordinate attention's bottleneck: pools of rows and columns to gates."""

    def __init__(self, channels):
        super().__init__()
        middle = max(8, channels // 32)
        self.conv1 = nn.Conv2d(channels, middle, 1)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, channels, 1)
        self.conv3 = nn.Conv2d(middle, channels, 1)

    def gates(self, rows, columns):
        height = rows.shape[2]
        y = self.bn1(self.conv1(torch.cat([rows, columns.permute(0, 1, 3, 2)], 2)))
        y = y * F.relu6(y + 3) / 6
        rows, columns = torch.split(y, [height, y.shape[2] - height], 2)
        return torch.sigmoid(self.conv2(rows)), torch.sigmoid(self.conv3(columns.permute(0, 1, 3, 2)))


class CoordinateAttention(Gates):
    def forward(self, x):
        rows, columns = self.gates(x.mean(3, keepdim=True), x.mean(2, keepdim=True))
        return x * columns * rows


class DirectionAttention(Gates):
    def __init__(self, channels, side):
        super().__init__(channels)
        self.Linear_h = ConvBn(channels, channels, (1, side), groups=channels)
        self.Linear_w = ConvBn(channels, channels, (side, 1), groups=channels)

    def forward(self, x):
        rows, columns = self.gates(self.Linear_h(x), self.Linear_w(x))
        return columns * rows


class Head(nn.Module):
    def __init__(self, channels, side):
        super().__init__()
        self.CoordAtt = DirectionAttention(channels, side)

    def forward(self, x):
        return self.CoordAtt(x)


class Mixed(nn.Module):
    def __init__(self, kernels, stride):
        super().__init__()
        self.shares = [channels for _, channels in kernels]
        self.mixed_depthwise_conv = nn.ModuleList(
            nn.Conv2d(c, c, k, stride, k // 2, groups=c, bias=False) for k, c in kernels
        )

    def forward(self, x):
        parts = torch.split(x, self.shares, 1)
        return torch.cat([conv(part) for conv, part in zip(self.mixed_depthwise_conv, parts)], 1)


class Bottleneck(nn.Module):
    def __init__(self, inputs, outputs, kernels, stride=1, residual=False):
        super().__init__()
        expanded = sum(channels for _, channels in kernels)
        self.conv = ConvBnPrelu(inputs, expanded, 1)
        self.conv_dw = Mixed(kernels, stride)
        self.CA = CoordinateAttention(expanded)
        self.project = ConvBn(expanded, outputs, 1)
        self.residual = residual

    def forward(self, x):
        y = self.project(self.CA(self.conv_dw(self.conv(x))))
        return x + y if self.residual else y


class Residuals(nn.Module):
    def __init__(self, count, channels, kernels):
        super().__init__()
        self.model = nn.Sequential(*(Bottleneck(channels, channels, kernels, residual=True) for _ in range(count)))

    def forward(self, x):
        return self.model(x)


class Classifier(nn.Module):
    def __init__(self, emotions):
        super().__init__()
        self.dense = nn.Linear(512, 512)
        self.val_arousal = nn.Linear(512, 2)
        self.emotions = nn.Linear(512, emotions)
        self.actions = nn.Linear(512, 12)

    def forward(self, x):
        x = F.relu(self.dense(x))
        return torch.tanh(self.val_arousal(x)), self.emotions(x), self.actions(x)


class Ddamfn(nn.Module):
    def __init__(self, emotions=9):
        super().__init__()
        self.features = nn.Sequential(
            ConvBnPrelu(3, 64, 3, 2, 1),
            ConvBnPrelu(64, 64, 3, 1, 1, groups=64),
            Bottleneck(64, 64, [(3, 64), (5, 32), (7, 32)], 2),
            Residuals(9, 64, [(3, 96), (5, 32)]),
            Bottleneck(64, 128, [(3, 128), (5, 64), (7, 64)], 2),
            Residuals(16, 128, [(3, 192), (5, 64)]),
            Bottleneck(128, 256, [(3, 256), (5, 256), (7, 256), (9, 256)], 2),
            Residuals(6, 256, [(3, 172), (5, 170), (7, 170)]),
            ConvBnPrelu(256, 512, 1),
        )
        self.cat_head0 = Head(512, 7)
        self.cat_head1 = Head(512, 7)
        self.Linear = ConvBn(512, 512, 7, groups=512)
        self.custom_classifier = Classifier(emotions)

    def forward(self, x):
        x = self.features(x)
        heads = self.cat_head0(x), self.cat_head1(x)
        y = self.Linear(x * torch.maximum(*heads)).flatten(1)
        return self.custom_classifier(y), heads
