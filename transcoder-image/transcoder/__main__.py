"""`python3 -m transcoder`: checks the job, starts FFmpeg, then imports everything else.

FFmpeg needs some tenths of a second until its first media, and the rest of the agent is imported meanwhile. So only what
FFmpeg's command line needs is imported before it is started.

The exit code is one of `ending.Ending`. A job that is refused is also named on standard error: one line for people, and one
line of JSON, `{"bad_job": "<field and why>"}`, which the orchestrator reads. Neither quotes a value, which may be a secret.
"""

import os
import sys
from json import dumps

from transcoder.ending import Ending
from transcoder.ffmpeg.command_line import ffmpeg_argv
from transcoder.ffmpeg.process import BINARY_VARIABLE, JOB_VARIABLE, FfmpegProcess
from transcoder.ffmpeg.stream_plan import Unplayable, assumed_streams, plan
from transcoder.job import BadJob, parse


def main() -> int:
    """Runs the attempt that TRANSCODER_JOB describes; returns the exit code."""
    try:
        job = parse(os.environ.get(JOB_VARIABLE, ""))
        first = plan(job.profile, assumed_streams(job.first), None, job.hevc)
    except (BadJob, Unplayable) as error:
        print(f"bad job: {error}", file=sys.stderr)
        print(dumps({"bad_job": str(error)}), file=sys.stderr)
        return Ending.BAD_JOB
    ffmpeg = os.environ.get(BINARY_VARIABLE, "ffmpeg")
    try:
        process = FfmpegProcess(ffmpeg_argv(ffmpeg, job, job.first, first))
    except OSError as error:
        print(f"ffmpeg cannot be started: {error}", file=sys.stderr)
        return Ending.FFMPEG_CRASHED
    from transcoder.run import AttemptLoop

    return AttemptLoop(job, ffmpeg, first, process).run()


if __name__ == "__main__":
    sys.exit(main())
