"""What one server takes at most: every bound of the dashboard, in one place, with a safe default.

Each is set by an environment variable before the server starts, `KINESCOPE_MAX_` and the name in capitals:

    KINESCOPE_MAX_UPLOAD_MB=300 KINESCOPE_MAX_COMPUTATIONS=4 streamlit run app.py

`python -m xai.dashboard.limits` prints them as they stand. One bound is also Streamlit's own: no body of a request is
larger than `server.maxUploadSize` (.streamlit/config.toml, or STREAMLIT_SERVER_MAX_UPLOAD_SIZE), so raise both.

The defaults suit two cores, 4 GB and a class of thirty. Uploaded files stay in memory until their session ends.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from training.video import VideoLimits

PREFIX = "KINESCOPE_MAX_"
LARGEST = 1 << 40


@dataclass(frozen=True)
class Limits:
    """Every bound is a whole number from 1 up."""

    # An uploaded file
    upload_mb: int = 100
    """Megabytes of a video, a file of joints or a checkpoint."""
    seconds: int = 120
    """Length of a video."""
    frames: int = 900
    """Frames of a video."""
    pixels: int = 4096 * 2304
    """Of one frame, before it is shrunk."""
    side: int = 640
    """Pixels of the longer side; larger frames are shrunk to it while they are read."""
    decoded_mb: int = 320
    """Megabytes of all frames of a video, decoded and shrunk."""
    decode_seconds: int = 30
    """Time that decoding a video may take."""

    # Work
    computations: int = 2
    """Predictions at a time; more than cores only slow each other down."""
    long_jobs: int = 1
    """Long computations at a time (a method of many passes, a measure of trust); quick ones have a worker beside."""
    data_jobs: int = 1
    """Data sets that are predicted at a time; their thumbnails have a worker beside. So at most `computations` +
    `long_jobs` + `data_jobs` + 2 quick workers compute at once."""
    queue: int = 64
    """Jobs that wait; who comes later is asked to try again."""
    results: int = 96
    """Ended jobs that are remembered; what they found is kept by its bytes, with all that is below."""
    data_results: int = 32
    """The same for work on data sets, which is kept on disk."""
    prediction_files: int = 200
    """Files of predictions on disk, one a data set and checkpoint; the oldest go."""
    figure_pixels: int = 60_000_000
    """Of the PNG of a figure."""
    placed_frames: int = 150
    """Frames of a cut on which joints are placed; they are all sent to the browser."""
    rooms: int = 64
    """Classes at a time."""
    voters: int = 400
    """Who answer in one room."""

    input_pixels: int = 1 << 22
    """Frames x height x width that an uploaded network may read of a clip; the paper's reads 600,000."""

    # Memory
    cache_entries: int = 256
    """Clips and answers that are kept for who asks the same."""
    cache_mb: int = 768
    """Megabytes that they take together; what was not asked for longest goes first."""
    drafts_mb: int = 1024
    """Megabytes of the videos that are open on My clip, of all visitors; who comes later is asked to wait."""
    uploads_mb: int = 1024
    """Megabytes of the files that sessions hold, of all visitors; who comes later is asked to wait."""
    networks: int = 6
    """Networks that are held; uploaded ones are counted apart."""
    thumbnails: int = 1500
    """Thumbnails of the clips of data sets."""
    thumbnails_mb: int = 32
    """Megabytes that they take together."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """The limits that an environment sets. Raises ValueError in one sentence for what is no limit."""
        names = {PREFIX + field.name.upper(): field.name for field in fields(cls)}
        found = {}
        for variable, text in environment.items():
            if not variable.startswith(PREFIX):
                continue
            if variable not in names:
                raise ValueError(f"{variable} is no limit of the dashboard; there are {', '.join(sorted(names))}.")
            if not re.fullmatch(r"[0-9]{1,15}", text) or not 1 <= int(text) <= LARGEST:
                raise ValueError(f"{variable} is {text[:40]!r}; it must be a whole number from 1 up.")
            found[names[variable]] = int(text)
        return cls(**found)

    def video(self) -> VideoLimits:
        """What `training.video` reads at most of an uploaded video."""
        from training.video import VideoLimits

        return VideoLimits(
            self.upload_mb << 20, self.pixels, self.frames, self.decoded_mb << 20, self.side, self.decode_seconds,
            self.seconds,
        )  # fmt: skip


@cache
def limits() -> Limits:
    """The limits of this server, read once."""
    return Limits.of(os.environ)


def main() -> None:
    for field in fields(Limits):
        print(f"{PREFIX}{field.name.upper()}={getattr(limits(), field.name)}")


if __name__ == "__main__":
    main()
