"""`python3 -m transcoder`: FFmpeg first, everything else beside it.

Exit codes are `ending.Ending`. Only what FFmpeg's command line needs is imported before FFmpeg runs.
"""

import os
import sys

from transcoder.ending import Ending
from transcoder.ffmpeg.command_line import Unplayable, assumed, ffmpeg_argv, plan
from transcoder.ffmpeg.process import BINARY_VARIABLE, JOB_VARIABLE, FfmpegProcess
from transcoder.job import BadJob, parse


def main() -> int:
    """Runs the attempt that TRANSCODER_JOB describes; gives the exit code."""
    try:
        job = parse(os.environ.get(JOB_VARIABLE, ""))
        first = plan(job.profile, assumed(job), None, job.hevc)
    except (BadJob, Unplayable) as error:
        print(f"bad job: {error}", file=sys.stderr)
        return Ending.BAD_JOB
    ffmpeg = os.environ.get(BINARY_VARIABLE, "ffmpeg")
    try:
        process = FfmpegProcess(ffmpeg_argv(ffmpeg, job, first))
    except OSError as error:
        print(f"ffmpeg does not start: {error}", file=sys.stderr)
        return Ending.FFMPEG_CRASHED
    from transcoder.run import AttemptLoop

    return AttemptLoop(job, ffmpeg, first, process).run()


if __name__ == "__main__":
    sys.exit(main())
