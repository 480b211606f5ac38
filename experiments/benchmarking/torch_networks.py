"""The networks of the whole steps, in PyTorch.

The work is that of ours; the values need not be.
"""

from torch import nn
from torch.nn import functional as F

IMAGES = {"mnist": (1, 28, 28), "resnet20": (3, 32, 32)}


def build(network: str) -> nn.Module:
    """`mnist_cnn_max`, `mnist_cnn_avg` or `resnet20`."""
    if network == "resnet20":
        return ResNet20()
    pool = nn.MaxPool2d(2) if network.endswith("max") else nn.AvgPool2d(2)
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        pool,
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        pool,
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


class ResNet20(nn.Module):
    """Three stages of three basic blocks, with option A shortcuts."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        widths = [16, *[width for width in (16, 32, 64) for _ in range(3)]]
        self.blocks = nn.Sequential(
            *(Block(old, new) for old, new in zip(widths, widths[1:], strict=False))
        )
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(F.relu(self.norm(self.stem(x))))
        return self.head(x.mean((2, 3)))


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut that subsamples and appends zeros."""

    def __init__(self, channels: int, features: int):
        super().__init__()
        self.strides = 1 if channels == features else 2
        self.more = features - channels
        self.first = nn.Conv2d(
            channels, features, 3, self.strides, padding=1, bias=False
        )
        self.first_norm = nn.BatchNorm2d(features)
        self.second = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(features)

    def forward(self, x):
        y = F.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        if self.more:
            x = x[:, :, :: self.strides, :: self.strides]
            x = F.pad(x, (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return F.relu(x + y)


class ResNet50(nn.Module):
    """Four stages of bottlenecks, whose 3x3 convolutions have the strides: v1.5."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        blocks, channels = [], 64
        for stage, count in enumerate((3, 4, 6, 3)):
            for block in range(count):
                strides = 2 if stage and not block else 1
                blocks.append(Bottleneck(channels, 64 * 2**stage, strides))
                channels = 4 * 64 * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, 1000)

    def forward(self, x):
        x = self.pool(F.relu(self.norm(self.stem(x))))
        return self.head(self.blocks(x).mean((2, 3)))


class Bottleneck(nn.Module):
    """A 3x3 convolution between two of 1x1, and a shortcut projected where it must."""

    def __init__(self, channels: int, width: int, strides: int):
        super().__init__()
        features = 4 * width
        self.branch = nn.Sequential(
            *_normalised(channels, width, 1),
            nn.ReLU(),
            *_normalised(width, width, 3, strides),
            nn.ReLU(),
            *_normalised(width, features, 1),
        )
        self.shortcut = nn.Identity()
        if channels != features:
            self.shortcut = nn.Sequential(*_normalised(channels, features, 1, strides))

    def forward(self, x):
        return F.relu(self.branch(x) + self.shortcut(x))


def _normalised(channels: int, features: int, window: int, strides: int = 1):
    """A convolution and its normalisation."""
    yield nn.Conv2d(
        channels, features, window, strides, padding=window // 2, bias=False
    )
    yield nn.BatchNorm2d(features)
