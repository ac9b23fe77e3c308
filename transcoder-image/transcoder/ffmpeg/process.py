"""FFmpeg as a child process: started with as few imports as possible, read without blocking, and dead when the agent is."""

import os
import time

JOB_VARIABLE = "TRANSCODER_JOB"
BINARY_VARIABLE = "TRANSCODER_FFMPEG"

_SETPRIV = "/usr/bin/setpriv"
_F_SETPIPE_SZ = 1031  # fcntl(2), Linux
_PIPE_BYTES = 1 << 20  # the default of /proc/sys/fs/pipe-max-size: a burst fits, so that FFmpeg does not wait for the reader
_READ_BYTES = 1 << 20


class FfmpegProcess:
    """A running FFmpeg. `media_fd` and `messages_fd` are the read ends of its standard output and error.
    `started_s`: when it was started, on the monotonic clock."""

    def __init__(self, argv: list[str]) -> None:
        """Starts it. Raises OSError where there is no such binary."""
        environment = {name: value for name, value in os.environ.items() if name != JOB_VARIABLE}
        self.media_fd, media = os.pipe()
        self.messages_fd, messages = os.pipe()
        try:
            self.pid = os.posix_spawnp(
                *_bound_to_us(argv),
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, media, 1),
                    (os.POSIX_SPAWN_DUP2, messages, 2),
                ],
            )
        except OSError:
            os.close(self.media_fd)
            os.close(self.messages_fd)
            raise
        finally:
            os.close(media)
            os.close(messages)
        self.started_s = time.monotonic()
        os.set_blocking(self.media_fd, False)
        os.set_blocking(self.messages_fd, False)
        self._open = {self.media_fd, self.messages_fd}
        self._status: int | None = None

    def widen(self) -> None:
        """Gives the media pipe room for a burst, where the system allows."""
        from fcntl import fcntl

        try:
            fcntl(self.media_fd, _F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:  # the user's share of pipe memory is used up: it works with 64 KiB, too
            pass

    def read(self, fd: int) -> bytes:
        """What has come since the last call; after the end, `fd` is no longer among `open_fds`."""
        if fd not in self._open:
            return b""
        parts = []
        while True:
            try:
                data = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                self._open.discard(fd)
                break
            parts.append(data)
            if len(data) < 65_536:  # less than requested: the pipe is empty
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def open_fds(self) -> frozenset[int]:
        """The descriptors that more may come from."""
        return frozenset(self._open)

    @property
    def ended(self) -> bool:
        """Whether it has closed both: everything that it wrote has been read."""
        return not self._open

    def kill(self) -> None:
        """Ends it; what it has written can still be read."""
        if self._status is None:
            os.kill(self.pid, 9)

    def stop(self) -> int:
        """Reaps it, and ends it first if it still runs. Returns its exit code, or minus the signal's number."""
        if self._status is None:
            if not self.ended:
                self.kill()
            _, status = os.waitpid(self.pid, 0)
            self._status = os.waitstatus_to_exitcode(status)
            os.close(self.media_fd)
            os.close(self.messages_fd)
            self._open.clear()
        return self._status


def _bound_to_us(argv: list[str]) -> tuple[str, list[str]]:
    """FFmpeg dies with the agent, even where the agent is killed (PR_SET_PDEATHSIG, set by setpriv before it becomes
    FFmpeg: 1 ms; Python's own way would be 6 ms of ctypes). Where there is no setpriv, the broken pipe ends it."""
    if os.access(_SETPRIV, os.X_OK):
        return _SETPRIV, [_SETPRIV, "--pdeathsig", "KILL", *argv]
    return argv[0], argv
