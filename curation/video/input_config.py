"""Which files of the input count as videos."""

from pydantic import Field

from curation.contract.config import Config


class InputConfig(Config):
    """Which files of the input count as videos."""

    extensions: tuple[str, ...] = Field(
        default=(
            *(
                "mp4",
                "m4v",
                "mov",
                "qt",
                "3gp",
                "3g2",
                "mkv",
                "webm",
                "avi",
                "divx",
                "ts",
                "mts",
                "m2ts",
                "mpg",
                "mpeg",
            ),
            *(
                "mpe",
                "vob",
                "flv",
                "f4v",
                "wmv",
                "asf",
                "ogv",
                "ogm",
                "mxf",
                "dv",
                "ivf",
                "h264",
                "264",
                "h265",
                "hevc",
            ),
        ),
        description="file name endings, lower case and without the dot, that are taken for videos",
    )
    follow_links: bool = Field(
        default=False, description="follow symbolic links that lead out of the input folder, and linked folders"
    )
