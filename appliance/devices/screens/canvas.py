"""Stacking pictures with SDL2. It knows textures and pixels, nothing of scenes. All of it on one thread.

Conversion from YUV, scaling and blending are SDL's: on a Pi the GPU's, with the dummy driver its software renderer's.
"""

import ctypes
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import sdl2
from PIL import Image

from appliance.errors import DeviceLost

from .look import RGB
from .textures import Box, Sprite

if TYPE_CHECKING:
    import av

TEXTURES_BYTES = 96 * 1024 * 1024  # of stills kept; a 4K clock is 3 MB
YUV_FORMATS = frozenset({"yuv420p", "yuvj420p"})


def check(result: int, what: str) -> None:
    """Raise DeviceLost, with SDL's words, where SDL says no."""
    if result != 0:
        raise DeviceLost(f"screen: {what}: {sdl2.SDL_GetError().decode(errors='replace')}")


class Video:
    """The texture of one slot."""

    def __init__(self, renderer: Any) -> None:
        self._renderer = renderer
        self._texture: Any = None
        self.size = (0, 0)

    def upload(self, frame: "av.VideoFrame") -> None:
        """Hand a frame to the graphics memory; another size makes another texture."""
        if frame.format.name not in YUV_FORMATS:
            frame = frame.reformat(format="yuv420p")
        if (frame.width, frame.height) != self.size:
            self.close()
            texture = sdl2.SDL_CreateTexture(
                self._renderer, sdl2.SDL_PIXELFORMAT_IYUV, sdl2.SDL_TEXTUREACCESS_STREAMING, frame.width, frame.height
            )
            if not texture:
                check(-1, f"texture of {frame.width}x{frame.height}")
            self._texture, self.size = texture, (frame.width, frame.height)
        planes = []
        for plane in frame.planes:
            planes += [ctypes.cast(plane.buffer_ptr, ctypes.POINTER(ctypes.c_ubyte)), plane.line_size]
        check(sdl2.SDL_UpdateYUVTexture(self._texture, None, *planes), "frame")

    def copy(self, source: Box, to: Box, *, mirrored: bool, alpha: float) -> None:
        """Draw a part of the frame."""
        sdl2.SDL_SetTextureBlendMode(self._texture, sdl2.SDL_BLENDMODE_BLEND if alpha < 1 else sdl2.SDL_BLENDMODE_NONE)
        sdl2.SDL_SetTextureAlphaMod(self._texture, round(255 * alpha))
        if mirrored:
            check(
                sdl2.SDL_RenderCopyEx(
                    self._renderer, self._texture, _rect(source), _rect(to), 0.0, None, sdl2.SDL_FLIP_HORIZONTAL
                ),
                "copy",
            )
        else:
            check(sdl2.SDL_RenderCopy(self._renderer, self._texture, _rect(source), _rect(to)), "copy")

    def close(self) -> None:
        if self._texture:
            sdl2.SDL_DestroyTexture(self._texture)
        self._texture, self.size = None, (0, 0)


class Canvas:
    """A renderer of `size` pixels and the textures made for it."""

    def __init__(self, renderer: Any, size: tuple[int, int]) -> None:
        self.renderer, self.size = renderer, size
        self._stills: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._videos: dict[str, Video] = {}
        check(sdl2.SDL_SetRenderDrawBlendMode(renderer, sdl2.SDL_BLENDMODE_BLEND), "blending")

    def clear(self, colour: str) -> None:
        check(sdl2.SDL_SetRenderDrawColor(self.renderer, *RGB[colour], 255), "colour")
        check(sdl2.SDL_RenderClear(self.renderer), "clear")

    def sprite(self, sprite: Sprite, to: Box, alpha: float) -> None:
        """Draw a still at `to`, made into a texture the first time."""
        if sprite.make is None:
            sdl2.SDL_SetRenderDrawColor(self.renderer, *RGB[sprite.colour], round(255 * alpha))
            check(sdl2.SDL_RenderFillRect(self.renderer, _rect(to)), "fill")
            return
        texture = self._still(sprite)
        sdl2.SDL_SetTextureAlphaMod(texture, round(255 * alpha))
        source = _rect(sprite.source) if sprite.source else None
        check(sdl2.SDL_RenderCopy(self.renderer, texture, source, _rect(to)), "copy")

    def _still(self, sprite: Sprite) -> Any:
        if sprite.key in self._stills:
            self._stills.move_to_end(sprite.key)
            return self._stills[sprite.key][0]
        assert sprite.make is not None
        image = sprite.make()
        data = image.tobytes()
        texture = sdl2.SDL_CreateTexture(
            self.renderer, sdl2.SDL_PIXELFORMAT_ABGR8888, sdl2.SDL_TEXTUREACCESS_STATIC, image.width, image.height
        )
        if not texture:
            check(-1, f"texture of {image.width}x{image.height}")
        check(sdl2.SDL_UpdateTexture(texture, None, data, image.width * 4), "texture")
        sdl2.SDL_SetTextureBlendMode(texture, sdl2.SDL_BLENDMODE_BLEND)
        self._stills[sprite.key] = texture, len(data)
        self._bytes += len(data)
        while self._bytes > TEXTURES_BYTES and len(self._stills) > 1:
            _, (oldest, size) = self._stills.popitem(last=False)
            sdl2.SDL_DestroyTexture(oldest)
            self._bytes -= size
        return texture

    def video(self, key: str) -> Video:
        """Return the texture of a slot."""
        if key not in self._videos:
            self._videos[key] = Video(self.renderer)
        return self._videos[key]

    def has_video(self, key: str) -> bool:
        return key in self._videos and self._videos[key].size != (0, 0)

    def drop_video(self, key: str) -> None:
        if key in self._videos:
            self._videos.pop(key).close()

    def read(self) -> Image.Image:
        """Return what was drawn since `clear`, RGB; before `present`, which may take it away."""
        width, height = self.size
        pixels = ctypes.create_string_buffer(width * height * 4)
        check(
            sdl2.SDL_RenderReadPixels(self.renderer, None, sdl2.SDL_PIXELFORMAT_ABGR8888, pixels, width * 4),
            "reading back",
        )
        return Image.frombuffer("RGBA", self.size, pixels.raw, "raw", "RGBA", 0, 1).convert("RGB")

    def present(self) -> None:
        sdl2.SDL_RenderPresent(self.renderer)

    def close(self) -> None:
        """Free the textures. The renderer is the window's."""
        for video in self._videos.values():
            video.close()
        for texture, _ in self._stills.values():
            sdl2.SDL_DestroyTexture(texture)
        self._videos.clear()
        self._stills.clear()
        self._bytes = 0


def _rect(box: Box) -> Any:
    return sdl2.SDL_Rect(box.x, box.y, box.w, box.h)
