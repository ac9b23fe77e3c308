"""Reads the sequence parameter sets of H.264 and HEVC: the codec's name (RFC 6381) and the size of the picture.

H.264: ISO/IEC 14496-10, 7.3.2.1.1 and Annex A. HEVC: ISO/IEC 23008-2, 7.3.2.2 and 7.3.3. The names: RFC 6381, 3.3 ("avc1") and
ISO/IEC 14496-15, Annex E.3 ("hvc1").
"""

from typing import NamedTuple

# Profiles whose parameter set says how colour is sampled, and may have scaling matrices (7.3.2.1.1).
_WITH_CHROMA = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
# Width and height of a colour sample, in luma samples, by chroma_format_idc (Table 6-1).
_CHROMA_UNIT = {0: (1, 1), 1: (2, 2), 2: (2, 1), 3: (1, 1)}


class PictureFormat(NamedTuple):
    """What a video stream's pictures are: `codec` as in RFC 6381, the size in pixels after cropping."""

    codec: str
    width: int
    height: int


def h264(nal: bytes) -> PictureFormat:
    """Reads an H.264 sequence parameter set, a whole NAL unit. Raises ValueError where it ends too early."""
    bits = _Bits(nal[1:])
    profile, constraints, level = bits.u(8), bits.u(8), bits.u(8)
    bits.ue()  # seq_parameter_set_id
    chroma = 1
    separate = 0
    if profile in _WITH_CHROMA:
        chroma = bits.ue()
        separate = bits.u(1) if chroma == 3 else 0
        bits.ue()  # bit_depth_luma_minus8
        bits.ue()  # bit_depth_chroma_minus8
        bits.u(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.u(1):  # seq_scaling_matrix_present_flag
            for n in range(12 if chroma == 3 else 8):
                if bits.u(1):
                    _skip_scaling_list(bits, 16 if n < 6 else 64)
    bits.ue()  # log2_max_frame_num_minus4
    match bits.ue():  # pic_order_cnt_type
        case 0:
            bits.ue()  # log2_max_pic_order_cnt_lsb_minus4
        case 1:
            bits.u(1)  # delta_pic_order_always_zero_flag
            bits.ue()  # offset_for_non_ref_pic; its sign does not matter here
            bits.ue()  # offset_for_top_to_bottom_field
            for _ in range(min(bits.ue(), 255)):
                bits.ue()  # offset_for_ref_frame
    bits.ue()  # max_num_ref_frames
    bits.u(1)  # gaps_in_frame_num_value_allowed_flag
    width = 16 * (bits.ue() + 1)
    map_units = bits.ue() + 1
    frames_only = bits.u(1)
    height = 16 * map_units * (2 - frames_only)
    if not frames_only:
        bits.u(1)  # mb_adaptive_frame_field_flag
    bits.u(1)  # direct_8x8_inference_flag
    if bits.u(1):  # frame_cropping_flag
        across, down = (1, 1) if separate else _CHROMA_UNIT.get(chroma, (1, 1))
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= across * (left + right)
        height -= down * (2 - frames_only) * (top + bottom)
    return _picture(f"avc1.{profile:02x}{constraints:02x}{level:02x}", width, height)


def hevc(nal: bytes) -> PictureFormat:
    """Reads an HEVC sequence parameter set, a whole NAL unit. Raises ValueError where it ends too early."""
    bits = _Bits(nal[2:])
    bits.u(4)  # sps_video_parameter_set_id
    sub_layers = bits.u(3)  # sps_max_sub_layers_minus1
    bits.u(1)  # sps_temporal_id_nesting_flag
    space, tier, profile = bits.u(2), bits.u(1), bits.u(5)
    compatibility = int(f"{bits.u(32):032b}"[::-1], 2)  # E.3: in reverse bit order
    constraints = bits.u(48).to_bytes(6, "big").rstrip(b"\0")  # E.3: trailing zero bytes are left out
    level = bits.u(8)
    _skip_sub_layers(bits, sub_layers)
    bits.ue()  # sps_seq_parameter_set_id
    chroma = bits.ue()
    separate = bits.u(1) if chroma == 3 else 0
    width, height = bits.ue(), bits.ue()
    if bits.u(1):  # conformance_window_flag
        across, down = (1, 1) if separate else _CHROMA_UNIT.get(chroma, (1, 1))
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= across * (left + right)
        height -= down * (top + bottom)
    parts = [
        "hvc1",
        ("", "A", "B", "C")[space] + str(profile),
        f"{compatibility:X}",
        f"{'LH'[tier]}{level}",
        *(f"{byte:X}" for byte in constraints),
    ]
    return _picture(".".join(parts), width, height)


def _picture(codec: str, width: int, height: int) -> PictureFormat:
    if not (0 < width <= 1 << 16 and 0 < height <= 1 << 16):
        raise ValueError(f"a picture of {width} by {height}")
    return PictureFormat(codec, width, height)


def _skip_scaling_list(bits: "_Bits", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _skip_sub_layers(bits: "_Bits", sub_layers: int) -> None:
    present = [(bits.u(1), bits.u(1)) for _ in range(sub_layers)]  # the profile, the level
    if sub_layers:
        bits.u(2 * (8 - sub_layers))  # reserved_zero_2bits
    for profile, level in present:
        bits.u(88 * profile + 8 * level)


class _Bits:
    """The bits of a NAL unit's payload, without the bytes that keep start codes out of it (7.4.1)."""

    def __init__(self, payload: bytes) -> None:
        data = payload.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def u(self, count: int) -> int:
        """An unsigned number of so many bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the parameter set ends too early")
        return self._value >> self._left & ((1 << count) - 1)

    def ue(self) -> int:
        """An unsigned Exp-Golomb code (9.1)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("the parameter set has no such number")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """A signed Exp-Golomb code (9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)
