"""What does the sandbox draw?

Three scenes, ridges under a sun, plates of cut paper and glass orbs, in a dozen palettes. Every
choice comes from one `random.Random`, so the same seed gives the same pixels. Everything soft is
made small and scaled up, everything with an edge is drawn at twice its size and scaled down.
"""

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

import msgspec
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Color: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]

SOFT_SCALE = 4
RIDGE_STEP_PIXELS = 4
STARRY_SKY_SUM_MAX = 160


class Palette(msgspec.Struct, frozen=True):
    """Five colours from the sky down, the light, and the words of a prompt that ask for them."""

    sky: Color
    haze: Color
    warm: Color
    land: Color
    deep: Color
    light: Color
    words: frozenset[str] = frozenset()


def _palette(colors: str, words: str) -> Palette:
    parsed = [tuple(bytes.fromhex(text)) for text in colors.split()]
    sky, haze, warm, land, deep, light = ((r, g, b) for r, g, b in parsed)
    return Palette(sky, haze, warm, land, deep, light, frozenset(words.split()))


PALETTES = (
    _palette("2b4a8b f3a683 f7d9a8 6d4c7d 1c1b3a fff1d0", "sunset evening dusk warm romantic"),
    _palette("8ec5e8 dcecf2 f6e7cf 4f8a8b 12343b fffdf2", "morning sky day bright clear robot"),
    _palette("0b1437 31427a 8d6fae 25305f 070b1f f4efe2", "night moon space star stars galaxy"),
    _palette("f6c9c0 fbe4d8 e8a0a0 9a5f80 3c2547 fff6ee", "rose pink flower love portrait woman"),
    _palette("bfe3d0 eaf4e2 f3dfa2 3f7d58 0f2f25 fffbe6", "forest tree green garden nature leaf"),
    _palette("f2b134 f7d794 ed553b 8c2f39 2d142c fff3c4", "desert fire autumn orange gold lion"),
    _palette("4aa3c7 bfe6e8 f4e3c1 1f6f8b 0b2c44 fffef5", "sea ocean water wave beach blue boat"),
    _palette("c9ccd5 eceef2 d9cfc6 6b7285 23262f ffffff", "city street fog snow winter silver"),
    _palette("6a3fa0 c77dcf ffb3a7 4b2a7b 170b33 ffe9d6", "neon purple violet cyberpunk future"),
    _palette("e7d3b1 f4ead7 d98e5f 8a6b4d 33261d fff9ea", "vintage coffee wood dog cat animal"),
    _palette("16404d 5fa8a0 dda853 2a5c64 081b22 fbf5dd", "jungle emerald teal bird dragon"),
    _palette("ff8c69 ffc9a9 ffe5b4 b0476a 3a1740 fff4df", "coral peach summer fruit skateboard"),
)


def paint(size: tuple[int, int], scene: int, random: Random, palette: Palette) -> Image.Image:
    """Return an RGB picture of `size` pixels; four `scene` numbers in a row look different."""
    return SCENES[scene % len(SCENES)](size, random, palette)


def choose_palette(prompt: str, random: Random) -> Palette:
    """Return the palette whose words the prompt has most of; any, where it has none."""
    words = {word.strip(".,;:!?'\"()") for word in prompt.lower().split()}
    scores = [len(words & palette.words) for palette in PALETTES]
    best = max(scores)
    return random.choice(
        [palette for palette, score in zip(PALETTES, scores, strict=True) if score == best]
    )


def palette_of(picture: Image.Image) -> Palette:
    """Return a palette made of a picture's own colours, from its lights to its darks."""
    few = picture.convert("RGB").resize((64, 64)).quantize(6)
    flat = (few.getpalette() or [])[:18]
    found: list[Color] = [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3)]
    found.sort(key=lambda color: 299 * color[0] + 587 * color[1] + 114 * color[2], reverse=True)
    light, haze, warm, sky, land, deep = (found[min(i, len(found) - 1)] for i in range(6))
    return Palette(sky, haze, warm, land, mix(deep, (0, 0, 0), 0.3), light)


def mix(first: Color, second: Color, share: float) -> Color:
    """Return the colour that lies `share` (0 … 1) of the way from `first` to `second`."""
    r, g, b = (round(x + (y - x) * share) for x, y in zip(first, second, strict=True))
    return r, g, b


def ridges(size: tuple[int, int], random: Random, palette: Palette) -> Image.Image:
    """Return a landscape: a sky, a sun in haze, and ranges that darken as they come nearer."""
    width, height = size
    short = min(size)
    horizon = random.uniform(0.44, 0.56)
    dusk = mix(palette.sky, palette.haze, 0.55)
    image = _vertical(size, [palette.sky, dusk, palette.haze, palette.warm], horizon + 0.12)
    sun = (width * random.uniform(0.25, 0.75), height * (horizon - random.uniform(0.1, 0.26)))
    radius = short * random.uniform(0.07, 0.12)
    if sum(palette.sky) < STARRY_SKY_SUM_MAX:
        _stars(image, random, palette.light)
    _glow(image, sun, radius * 6.5, palette.light, 0.75)
    _disc(image, sun, radius, mix(palette.light, (255, 255, 255), 0.3))
    count = random.randint(5, 6)
    for layer in range(count):
        near = layer / (count - 1)
        crest = height * (horizon + (0.93 - horizon) * near**1.25)
        color = mix(mix(palette.haze, palette.land, 0.35), palette.deep, near**0.85)
        if near < 0.6:
            color = mix(color, palette.land, 0.45)
        swing = short * (0.17 - 0.08 * near)
        line = _ridge_line(width, crest, swing, random, cells=3 + 2 * layer)
        mist = mix(color, mix(palette.haze, palette.warm, 0.4), 0.62 * (1 - near))
        trees = near > 0.75
        _range(image, line, color, mist, random if trees else None)
    return image


def paper(size: tuple[int, int], random: Random, palette: Palette) -> Image.Image:
    """Return plates of cut paper, each with a hole, one above the other over a small sun."""
    width, height = size
    short = min(size)
    image = _vertical(size, [palette.light, palette.warm, palette.haze], 1.0)
    heart = (width * random.uniform(0.42, 0.58), height * random.uniform(0.42, 0.56))
    _disc(image, (heart[0], heart[1] - short * 0.02), short * 0.075, palette.light)
    line = _ridge_line(width, heart[1] + short * 0.1, short * 0.07, random, cells=7)
    _range(image, line, mix(palette.warm, palette.land, 0.5), palette.haze, None)
    ramp = (palette.haze, palette.warm, palette.sky, palette.land, palette.deep)
    count = 6
    for layer in range(count):
        place = layer / (count - 1) * (len(ramp) - 1)
        lower = min(int(place), len(ramp) - 2)
        color = mix(ramp[lower], ramp[lower + 1], place - lower)
        across = 0.17 + 0.068 * layer
        hole = _blob(heart, (width * across, height * across), random)
        mask = ImageChops.invert(_mask(size, hole))
        _shadow(image, mask, short * (0.008 + 0.003 * layer), mix(palette.deep, (0, 0, 0), 0.4))
        image.paste(color, (0, 0), mask)
    return image


def orbs(size: tuple[int, int], random: Random, palette: Palette) -> Image.Image:
    """Return polished spheres of several sizes that float in soft light."""
    width, height = size
    short = min(size)
    image = _mesh(size, random, palette)
    colors = (palette.warm, palette.land, palette.light, palette.sky, palette.haze)
    placed: list[tuple[float, float, float]] = []
    for wanted in (0.25, 0.17, 0.13, 0.1, 0.075, 0.06, 0.05, 0.04, 0.032):
        radius = short * wanted * random.uniform(0.85, 1.1)
        for _ in range(30):
            x = random.uniform(0.1, 0.9) * width
            y = random.uniform(0.12, 0.86) * height
            if all(math.dist((x, y), other[:2]) > radius + other[2] + 4 for other in placed):
                placed.append((x, y, radius))
                break
    for index, (x, y, radius) in enumerate(placed):
        color = colors[(index + random.randint(0, 1)) % len(colors)]
        _sphere(image, (x, y), radius, color, palette)
    return image


Scene: TypeAlias = Callable[[tuple[int, int], Random, Palette], Image.Image]
SCENES: tuple[Scene, ...] = (ridges, orbs, ridges, paper)


def _vertical(size: tuple[int, int], stops: Sequence[Color], end: float) -> Image.Image:
    rows = 256
    column = Image.new("RGB", (1, rows))
    for row in range(rows):
        place = min(row / (rows * end), 0.9999) * (len(stops) - 1)
        color = mix(stops[int(place)], stops[int(place) + 1], place % 1)
        column.putpixel((0, row), color)
    return column.resize(size, Image.Resampling.BICUBIC)


def _mesh(size: tuple[int, int], random: Random, palette: Palette) -> Image.Image:
    """Return soft light from one corner to the other, with one cloud of the warm colour."""
    grid = Image.new("RGB", (4, 4))
    side = random.choice((1, -1))
    for x in range(4):
        for y in range(4):
            place = (y + (x if side > 0 else 3 - x)) / 6 + random.uniform(-0.12, 0.12)
            place = min(max(place, 0.0), 1.0)
            grid.putpixel((x, y), mix(palette.haze, mix(palette.sky, palette.land, 0.35), place))
    grid.putpixel((random.randint(1, 2), random.randint(1, 2)), palette.warm)
    return (
        grid.resize((128, 128), Image.Resampling.BILINEAR)
        .filter(ImageFilter.GaussianBlur(18))
        .resize(size, Image.Resampling.BICUBIC)
    )


def _fade(power: float, strength: float) -> Image.Image:
    """Return a round fade, white in the middle, as a mask."""
    table = [round(255 * strength * max(0.0, 1 - level / 181) ** power) for level in range(256)]
    return Image.radial_gradient("L").point(table)


def _glow(image: Image.Image, at: Point, radius: float, color: Color, strength: float) -> None:
    side = max(2, round(radius * 2))
    mask = _fade(2.4, strength).resize((side, side), Image.Resampling.BICUBIC)
    image.paste(color, (round(at[0] - radius), round(at[1] - radius)), mask)


def _disc(image: Image.Image, at: Point, radius: float, color: Color) -> None:
    side = max(2, round(radius * 2))
    image.paste(color, (round(at[0] - radius), round(at[1] - radius)), _circle(side))


def _stars(image: Image.Image, random: Random, color: Color) -> None:
    width, height = image.size
    for _ in range(90):
        at = (random.uniform(0, width), random.uniform(0, height * 0.5))
        _glow(image, at, random.choice((1.5, 2.0, 2.0, 3.5)), color, random.uniform(0.4, 1.0))


def _circle(side: int) -> Image.Image:
    mask = Image.new("L", (side * 4, side * 4))
    ImageDraw.Draw(mask).ellipse((2, 2, side * 4 - 3, side * 4 - 3), fill=255)
    return mask.reduce(4)


def _ridge_line(
    width: int, crest: float, swing: float, random: Random, *, cells: int
) -> list[Point]:
    """Return a line of noise in five octaves across the width."""
    octaves = []
    for octave in range(5):
        knots = [random.uniform(-1, 1) for _ in range(cells * 2**octave + 2)]
        octaves.append((knots, cells * 2**octave, swing * 0.46**octave))
    line = []
    for x in range(0, width + RIDGE_STEP_PIXELS, RIDGE_STEP_PIXELS):
        y = crest
        for knots, count, amplitude in octaves:
            place = min(x / width, 1.0) * count
            index = int(place)
            share = (1 - math.cos((place - index) * math.pi)) / 2
            y += amplitude * (knots[index] * (1 - share) + knots[index + 1] * share)
        line.append((float(x), y))
    return line


def _range(
    image: Image.Image, line: list[Point], color: Color, mist: Color, random: Random | None
) -> None:
    """Draw one range below `line`, into `mist` at its foot; with `random`, trees grow on it."""
    width, height = image.size
    tree_height = min(image.size) * 0.075
    top = max(0, int(min(y for _, y in line) - (tree_height * 1.2 if random else 1)))
    if top >= height:
        return
    tall = height - top
    mask = Image.new("L", (width * 2, tall * 2))
    draw = ImageDraw.Draw(mask)
    outline = [(x * 2, (y - top) * 2) for x, y in line]
    draw.polygon([*outline, (width * 2 + 8, tall * 2), (-8, tall * 2)], fill=255)
    if random is not None:
        for x, y in line[:: random.choice((2, 3))]:
            if random.random() < 0.6:
                _tree(draw, x + random.uniform(-4, 4), y - top, tree_height, random)
    fill = _vertical((width, tall), [color, mist], 1.0)
    image.paste(fill, (0, top), mask.reduce(2))


def _tree(draw: ImageDraw.ImageDraw, x: float, y: float, height: float, random: Random) -> None:
    tall = height * random.uniform(0.35, 1.0)
    half = tall * random.uniform(0.15, 0.2)
    for tier in range(4):
        peak = y - tall + tall * 0.2 * tier
        foot = peak + tall * 0.42
        wide = half * (0.42 + 0.2 * tier)
        corners = [(x, peak), (x + wide, foot), (x - wide, foot)]
        draw.polygon([(a * 2, b * 2 + 6) for a, b in corners], fill=255)


def _blob(at: Point, radii: Point, random: Random) -> list[Point]:
    waves = [(k, random.uniform(0, math.tau), 0.16 / k) for k in range(2, 7)]
    points = []
    for step in range(180):
        angle = step / 180 * math.tau
        reach = 1 + sum(amount * math.sin(k * angle + phase) for k, phase, amount in waves)
        x = at[0] + radii[0] * reach * math.cos(angle)
        points.append((x, at[1] + radii[1] * reach * math.sin(angle)))
    return points


def _mask(size: tuple[int, int], points: list[Point]) -> Image.Image:
    mask = Image.new("L", (size[0] * 2, size[1] * 2))
    ImageDraw.Draw(mask).polygon([(x * 2, y * 2) for x, y in points], fill=255)
    return mask.reduce(2)


def _shadow(image: Image.Image, mask: Image.Image, depth: float, color: Color) -> None:
    """Darken what lies under the plate `mask`, which floats `depth` pixels above it."""
    small = mask.reduce(SOFT_SCALE)
    offset = round(depth / SOFT_SCALE * 1.6)
    small = ImageChops.offset(small, 0, offset)
    small = small.filter(ImageFilter.GaussianBlur(depth * 1.7 / SOFT_SCALE))
    soft = small.resize(image.size, Image.Resampling.BICUBIC).point([x // 2 for x in range(256)])
    image.paste(color, (0, 0), soft)


def _sphere(image: Image.Image, at: Point, radius: float, color: Color, palette: Palette) -> None:
    side = max(4, round(radius * 2))
    shade = mix(color, palette.deep, 0.62)
    bright = mix(color, palette.light, 0.6)
    _glow(image, (at[0] + radius * 0.1, at[1] + radius * 0.55), radius * 2.0, palette.deep, 0.6)
    ball = Image.new("RGB", (side, side), shade)
    _glow(ball, (side * 0.43, side * 0.4), side * 1.15, color, 1.0)
    _glow(ball, (side * 0.43, side * 0.4), side * 0.8, color, 0.8)
    _glow(ball, (side * 0.64, side * 0.98), side * 0.42, mix(palette.warm, color, 0.35), 0.85)
    _glow(ball, (side * 0.37, side * 0.3), side * 0.62, bright, 0.95)
    _glow(ball, (side * 0.33, side * 0.24), side * 0.17, (255, 255, 255), 1.0)
    image.paste(ball, (round(at[0] - radius), round(at[1] - radius)), _circle(side))
