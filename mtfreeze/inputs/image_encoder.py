# SPDX-License-Identifier: Apache-2.0
"""Images -> what a model reads of them: rows of pixels or patches, packed without padding.

An image is decoded and prepared once, as its folder's ``preprocessor_config.json`` says, and kept
as 8-bit pixels; batches make float rows of them. What does not fit into the memory set aside is
read again for every batch that needs it, and must then still be what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NoReturn, cast
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import as_items, typed, why_no_list
from ..data.examples import Examples
from ..errors import DataError
from ..images import Picture
from ..images.augmentations import Augment
from ..images.decoding import default_readers, fitted_pictures, warn_of
from ..images.frames import Frame
from ..images.processor import Processor
from ..quoting import quoted
from .packing import SEQUENCES, Encoded, PackedBatch
from .read_ahead import ReadAhead
from .row_layout import RowLayout, starts

if TYPE_CHECKING:
    from .row_encoding import RowEncoding

__all__ = ["PIXELS", "PROCESSOR_FILE", "EncodedImages", "ImageEncoder", "patches"]

Int64 = NDArray[np.int64]
Uint8 = NDArray[np.uint8]

PROCESSOR_FILE = "preprocessor_config.json"
"""How images are prepared, as transformers writes it."""

PIXELS = "pixels"
"""The input of families that read images: a float row for each pixel or patch."""

_KEPT_BYTES = 1 << 30
"""Prepared pixels of one data set that are kept in memory."""

_PIECE = 256
"""Images of one piece of `ImageEncoder.encode_pieces`."""

_USUAL_IMAGE = np.zeros((256, 256, 3), np.uint8)
"""An image where no data are known, before it is prepared."""


def patches(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Cut an image into squares, row by row; a side of 1 gives its pixels.

    Parameters
    ----------
    pixels : (H, W, C) float32 array
        What is left over at the right and the bottom belongs to no square.
    side : int
        Of a square.

    Returns
    -------
    (h * w, C * side * side) float32 array
        The values of a square by channel, then y, then x.
    """
    height, width, channels = pixels.shape[0] // side, pixels.shape[1] // side, pixels.shape[2]
    cut = pixels[: height * side, : width * side]
    tiles = cut.reshape(height, side, width, side, channels).transpose(0, 2, 4, 1, 3)
    return np.reshape(tiles, (height * width, channels * side * side))


class EncodedImages(Encoded):
    """The images of a data set, prepared; a sequence is an image.

    Parameters
    ----------
    encoder : ImageEncoder
        Prepares them.
    pictures : sequence of Picture
        The images.
    shapes : (n, 2) int64 array
        Height and width in pixels of each prepared image.
    kept : mapping of int to (H, W, 3) uint8 array
        Prepared images by number, those that are kept.
    digests : sequence of bytes
        Of every prepared image.
    frames : (n, 7) int64 array
        What is seen of the picture in every prepared image, as `Frame` has it.
    augment : Augment, optional
        What variants there are: those of an image stand together, the image itself first, and
        epochs take them in turn. `shapes`, `kept`, `digests` and `frames` then count variants.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        pictures: Sequence[Picture],
        shapes: Int64,
        kept: Mapping[int, Uint8],
        digests: Sequence[bytes],
        frames: Int64,
        augment: Augment | None = None,
    ) -> None:
        self._augment, self._variants = augment, 1 if augment is None else augment.variants
        self._encoder, self._pictures, self._kept = encoder, list(pictures), dict(kept)
        self._digests, self._frames = list(digests), frames
        side = encoder.patch
        grids = encoder.layout.grids(shapes[:, 0] // side, shapes[:, 1] // side)
        self._counts = {name: count for name, (count, _) in grids.items()}
        self._widths = {name: width for name, (_, width) in grids.items() if width is not None}
        self.spaces, self.rows_per_token = tuple(grids), encoder.layout.rows_per_token
        lengths = self._counts[encoder.layout.main.name]
        self._ahead = ReadAhead(self._read_again, default_readers())
        self.rereads = len(self._kept) < len(self._digests)
        super().__init__({}, starts(lengths), np.zeros(len(lengths), np.bool_))

    def __getitem__(self, row: int) -> NDArray[Any]:  # type: ignore[override]
        """Return the prepared pixels of an image, (H, W, 3) uint8."""
        at = range(len(self))[row]
        return self._kept[at] if at in self._kept else self._ahead.take(at)

    def expect(self, sequences: ArrayLike) -> None:
        """Begin to read those of these images again that are not kept."""
        numbers = np.asarray(sequences, np.int64).tolist()
        self._ahead.expect(at for at in numbers if at not in self._kept)

    @property
    def waited_seconds(self) -> float:  # type: ignore[override]
        """What packing has waited for images that are not kept."""
        return self._ahead.waited_seconds

    @property
    def n_rows(self) -> int:
        """How many images there are."""
        return len(self._pictures)

    @property
    def row_lengths(self) -> Int64:
        """Rows of each image, (n_rows,) int64."""
        return self.lengths[:: self._variants]

    @property
    def row_truncated(self) -> NDArray[np.bool_]:
        """No image is cut, (n_rows,) bool."""
        return self.truncated[:: self._variants]

    def sequences_of(self, rows: ArrayLike, epoch: int = 0) -> Int64:
        """Return the variants of images that an epoch reads, (n,) int64."""
        return np.asarray(rows, np.int64) * self._variants + epoch % self._variants

    def sequences_in(self, rows: ArrayLike, epochs: range) -> Int64:
        """Return the variants of images that some epochs read, each once, (n,) int64."""
        variants = np.unique([epoch % self._variants for epoch in epochs[: self._variants]])
        chosen: Int64 = (self.sequences_of(rows)[:, None] + variants).reshape(-1)
        return chosen

    @property
    def n_bytes(self) -> int:
        """Bytes of what is kept."""
        return super().n_bytes + sum(one.nbytes for one in self._kept.values())

    def of_rows(self, counts: ArrayLike, paired: bool = False) -> Encoded:
        """Refuse rows of several images."""
        raise DataError("expected one image a row; found several; give each image a row of its own")

    def ids_of_row(self, row: int) -> NDArray[np.int32]:
        """Return what tells images apart, as numbers."""
        digest = self._digests[row * self._variants]
        return np.frombuffer(digest, dtype="<i4").astype(np.int32)

    def counts(self, space: str) -> Int64:
        """Return how many rows each image has in a row space, (n,) int64."""
        return np.ones(len(self), np.int64) if space == SEQUENCES else self._counts[space]

    def grid_widths(self, space: str) -> Int64 | None:
        """Return the columns of each image's grid in a row space, (n,) int64; None: no grid."""
        return self._widths.get(space)

    def frames(self, sequences: ArrayLike) -> list[Frame]:
        """Return what is seen of their pictures in prepared images of these numbers.

        Raises
        ------
        DataError
            If the processor cuts a part out of every image.
        """
        if self._encoder.processor.crops:
            raise DataError(
                f"expected a {PROCESSOR_FILE} that keeps the whole image, in which boxes are told "
                "as shares of its sides; found one that cuts the middle out; take the crop out of "
                "the file"
            )
        chosen = self._frames[np.asarray(sequences, np.int64)].tolist()
        return [Frame.of_numbers(numbers) for numbers in chosen]

    def contents(self, begin: int, end: int) -> list[bytes]:
        """Return all that a model reads of images: digests of their prepared pixels."""
        return [self._encoder.numbers + digest for digest in self._digests[begin:end]]

    def pack(self, rows: ArrayLike | None = None) -> PackedBatch:
        """Return these images (by default all) as a packed batch, in the order given."""
        chosen = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64)
        outline = self.pack_outline(chosen)
        encoder = self._encoder
        values = [
            patches(encoder.processor.floats(self[at]), encoder.patch) for at in chosen.tolist()
        ]
        return PackedBatch({PIXELS: np.concatenate(values)}, outline.offsets, {}, outline.widths)

    def pack_outline(self, rows: ArrayLike) -> PackedBatch:
        """Return `pack` without pixels: features will stand for them."""
        chosen = np.asarray(rows, dtype=np.int64)
        offsets = {name: starts(count[chosen]) for name, count in self._counts.items()}
        widths = {name: width[chosen] for name, width in self._widths.items()}
        return PackedBatch({}, offsets, {}, widths)

    def _read_again(self, at: int) -> Uint8:
        picture, variant = self._pictures[at // self._variants], at % self._variants
        pixels, _ = picture.decoded()  # what there is to warn of was said
        pixels, _ = _varied(pixels, self._augment, variant)
        pixels = self._encoder.processor.fitted(pixels, picture.name)
        if _digest(pixels) != self._digests[at]:
            raise DataError(
                f"{picture.name}: expected the image that was read before; found another one: "
                "leave files alone while they are trained on, and begin anew"
            )
        return pixels


class ImageEncoder:
    """Prepares images for a model.

    Parameters
    ----------
    processor : Processor
        What ``preprocessor_config.json`` says.
    layout : RowLayout
        The row spaces of the model.
    patch : int
        Side of the square of pixels that is a row of its first grid; 1: a row is a pixel.

    Attributes
    ----------
    processor, layout, patch
        As above.
    files : dict of str to bytes
        What a saved folder needs.
    numbers : bytes
        What tells apart the numbers that pixels become.
    """

    def __init__(self, processor: Processor, layout: RowLayout, patch: int) -> None:
        self.processor, self.layout, self.patch = processor, layout, patch
        self.files = {PROCESSOR_FILE: processor.to_json()}
        values = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
        self.numbers = blake2b(processor.floats(values).tobytes(), digest_size=16).digest()
        self._cache: WeakKeyDictionary[Examples, dict[RowEncoding, Encoded]] = WeakKeyDictionary()

    @property
    def max_length(self) -> int:
        """Rows of the largest image."""
        return self.layout.longest

    @cached_property
    def usual_length(self) -> int:
        """Rows of an image that stands for all where something is priced: a prepared square."""
        height, width = self.processor.fitted(_USUAL_IMAGE).shape[:2]
        grids = self.layout.grids([height // self.patch], [width // self.patch])
        return int(grids[self.layout.main.name][0][0])

    def encode_images(self, images: Sequence[Any], augment: Augment | None = None) -> EncodedImages:
        """Decode and prepare images.

        Parameters
        ----------
        images : sequence of path, Pillow image, uint8 array (H, W, 3) or Picture
            May be empty.
        augment : Augment, optional
            Prepare all variants of each.

        Raises
        ------
        TypeError
            If `images` is no list, or an item is none of these; names the position.
        DataError
            If an image cannot be read, or has a size that the model does not take.
        """
        return self._prepare([*_pictures_of(images)], augment)

    def encode_pieces(self, images: Sequence[Any]) -> Iterator[EncodedImages]:
        """Decode and prepare images, piece by piece, a piece ahead of whoever takes them.

        Parameters
        ----------
        images : sequence
            As for `encode_images`; none of them is kept longer than its piece.

        Yields
        ------
        EncodedImages
            Some hundred images, in order.

        Raises
        ------
        TypeError, DataError
            As for `encode_images`; an image that cannot be read when its piece is.
        """
        pictures, notes = [*_pictures_of(images)], list[str]()
        begins = range(0, len(pictures), _PIECE)
        ahead = ReadAhead(
            lambda begin: self._prepare(pictures[begin : begin + _PIECE], None, notes), 1
        )
        for begin in begins:
            piece = ahead.take(begin)
            ahead.expect(range(begin, len(pictures), _PIECE)[1:2])
            yield piece
        warn_of(notes)

    def encode_examples(self, examples: Examples, encoding: RowEncoding) -> Encoded:
        """Prepare the rows of a data set, once: asked again for the same object, it is remembered.

        Raises
        ------
        DataError
            As for `encode_images`, and if rows are no images, or a head reads no images.
        """
        if encoding.several:
            raise DataError(
                f"{examples.name}: expected a head that reads one image a row; found one of "
                "several texts; add another head"
            )
        known = self._cache.setdefault(examples, {})
        if encoding not in known:
            known[encoding] = encoding.encode(cast(Any, self), examples)
        return known[encoding]

    def encode_texts(self, texts: Sequence[Any], prompt: str | None = None) -> NoReturn:
        """Refuse texts."""
        _refuse("texts")

    def encode_words(self, sentences: Sequence[Any]) -> NoReturn:
        """Refuse words."""
        _refuse("words")

    def encode_pairs(self, pairs: Sequence[Any]) -> NoReturn:
        """Refuse pairs of texts."""
        _refuse("pairs of texts")

    def vocabulary(self, n_words: int) -> NoReturn:
        """Refuse language heads."""
        _refuse("a head of words")

    def _prepare(
        self, pictures: list[Picture], augment: Augment | None, notes: list[str] | None = None
    ) -> EncodedImages:
        each = 1 if augment is None else augment.variants
        shapes = np.zeros((len(pictures) * each, 2), dtype=np.int64)
        kept: dict[int, Uint8] = {}
        digests: list[bytes] = []
        frames = np.zeros((len(shapes), len(Frame._fields)), dtype=np.int64)
        n_bytes = 0

        def vary(number: int, pixels: Uint8) -> Uint8:  # on several threads, each number once
            changed, frame = _varied(pixels, augment, number % each)
            frames[number] = frame
            return changed

        found = fitted_pictures(pictures, self.processor, change=vary, times=each, notes=notes)
        for at, pixels in enumerate(found):
            shapes[at] = self._checked(pixels, pictures[at // each])
            digests.append(_digest(pixels))
            n_bytes += pixels.nbytes
            if n_bytes <= _KEPT_BYTES:
                kept[at] = pixels
        return EncodedImages(self, pictures, shapes, kept, digests, frames, augment)

    def _checked(self, pixels: Uint8, picture: Picture) -> tuple[int, int]:
        height, width = pixels.shape[:2]
        grid, side = self.layout.base, self.patch
        if grid.height and (height // side, width // side) != (grid.height, grid.width):
            raise DataError(
                f"{picture.name}: expected an image of {grid.height * side} x {grid.width * side} "
                f"pixels after preparation; found {height} x {width}; load the model with "
                f"interpolate_positions=True, or correct the size in {PROCESSOR_FILE}"
            )
        least = self.layout.least_side * side
        if height < least or width < least:
            raise DataError(
                f"{picture.name}: expected an image of at least {least} x {least} pixels; found "
                f"{height} x {width}"
            )
        return height, width


def _refuse(what: str) -> NoReturn:
    raise DataError(
        f"this model reads images; found {what}; give paths (pathlib.Path), images of Pillow or "
        "uint8 arrays (height, width, 3), or load a model of texts"
    )


def _varied(pixels: Uint8, augment: Augment | None, variant: int) -> tuple[Uint8, Frame]:
    """Return a variant of a picture, which depends on its pixels alone, and what is seen there."""
    height, width = pixels.shape[:2]
    if augment is None:
        return pixels, Frame.whole(height, width)
    picture = _digest(pixels).hex()
    drawn = augment.drawn((height, width), picture=picture, variant=variant)
    return augment.apply(pixels, picture=picture, variant=variant), Frame.of(drawn, (height, width))


def _digest(pixels: Uint8) -> bytes:
    """Return what tells prepared images apart, 16 bytes."""
    state = blake2b(np.array(pixels.shape, "<i8").tobytes(), digest_size=16)
    state.update(np.ascontiguousarray(pixels).data)
    return state.digest()


def _pictures_of(images: Any) -> Iterator[Picture]:
    if isinstance(images, str | bytes | bytearray | Picture):
        raise TypeError(f"expected a list of images; found one {typed(images)}; put it into a list")
    items = as_items(images)
    if items is None or (isinstance(images, np.ndarray) and images.ndim < 4):
        raise TypeError(
            f"expected a list of images; found {typed(images)}{why_no_list(images)}; put it into "
            "a list"
        )
    for at, item in enumerate(items):
        if isinstance(item, list | tuple | dict):
            raise TypeError(
                f"image {at}: expected a path, an image of Pillow or a uint8 array; found "
                f"{quoted(item, 80)}"
            )
        yield item if isinstance(item, Picture) else Picture(item, _name_of(item, at))


def _name_of(item: object, at: int) -> str:
    return "" if hasattr(item, "__fspath__") or isinstance(item, str) else f"image {at}"
