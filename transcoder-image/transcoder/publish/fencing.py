"""Decides from the media playlist whether an attempt may publish.

Law: the attempt number is the fencing token (law 4). A later attempt, once it is in the playlist, fences every earlier one.
"""

from transcoder.publish.media_playlist import MediaPlaylist


def fenced(playlist: MediaPlaylist, attempt: int, *, joined: bool) -> str | None:
    """Why the attempt may publish no more; None where it may.

    `joined`: it has read the playlist before. One that has not cannot have published: its number in the playlist is that of
    another run of the same attempt, which may still be at work.
    """
    latest = playlist.fencing_attempt
    if playlist.ended:
        return "the playlist has ended"
    if latest > attempt:
        return f"attempt {latest} has taken over"
    if latest == attempt and not joined:
        return "another run of this attempt has published"
    return None
