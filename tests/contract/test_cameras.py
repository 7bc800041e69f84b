"""Every camera keeps the promises of devices/cameras/base.py."""

import asyncio
import itertools
from pathlib import Path

import pytest

from appliance.devices.cameras.base import Camera, CameraSettings
from appliance.devices.cameras.frame_number import read_frame_number
from appliance.devices.cameras.pi import PiCamera
from appliance.devices.cameras.usb import UsbCamera, usb_cameras
from appliance.devices.cameras.virtual import VirtualCamera
from appliance.devices.conversion import luma
from appliance.errors import DeviceBusy, DeviceLost, DeviceMissing
from tests.support.device_capture_workers import real_picamera2_missing, real_worker, standin_worker

SIZE = {"width_px": 640, "height_px": 480}


def virtual() -> Camera:
    return VirtualCamera(CameraSettings(frames_per_second=30, **SIZE), "Contract camera")


def module_on_the_standin() -> Camera:
    return PiCamera(CameraSettings(worker_command=standin_worker(), **SIZE))


def module_on_libcamera() -> Camera:
    if why := real_picamera2_missing():
        pytest.skip(why)
    return PiCamera(CameraSettings(worker_command=real_worker(), **SIZE))


def usb() -> Camera:
    if not usb_cameras():
        pytest.skip("no USB camera is plugged in")
    return UsbCamera(CameraSettings(**SIZE))


@pytest.fixture(
    params=[
        virtual,
        module_on_the_standin,
        pytest.param(module_on_libcamera, marks=pytest.mark.hardware),
        pytest.param(usb, marks=pytest.mark.hardware),
    ]
)
def camera(request: pytest.FixtureRequest) -> Camera:
    made: Camera = request.param()
    return made


async def test_frames_are_yuv420p_of_the_size_asked_for_and_time_grows(camera: Camera) -> None:
    async with camera.open():
        frames = [await camera.read() for _ in range(10)]
    assert {(frame.format.name, frame.width, frame.height) for frame in frames} == {("yuv420p", 640, 480)}
    assert {frame.time_base.denominator for frame in frames if frame.time_base} == {90000}
    times = [frame.pts for frame in frames]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))  # type: ignore[operator]


async def test_time_runs_as_the_frames_come(camera: Camera) -> None:
    """30 frames a second are 3000 ticks apart; a busy machine may leave some out, but none come closer."""
    async with camera.open():
        times = [(await camera.read()).pts or 0 for _ in range(15)]
    apart = (times[-1] - times[0]) / 14
    assert apart > 2500


async def test_a_picture_moves_and_is_no_flat_grey(camera: Camera) -> None:
    async with camera.open():
        first, second = luma(await camera.read()), luma(await camera.read())
    assert first.std() > 5
    assert (first != second).any()


async def test_a_slow_reader_gets_the_newest_frame(camera: Camera) -> None:
    async with camera.open():
        before = (await camera.read()).pts or 0
        await asyncio.sleep(0.5)  # given: fifteen frames that nobody takes
        after = (await camera.read()).pts or 0
    assert after - before > 0.3 * 90000


async def test_it_is_busy_while_open_and_can_be_opened_again(camera: Camera) -> None:
    async with camera.open():
        await camera.read()
        with pytest.raises(DeviceBusy):
            async with camera.open():
                pass
    async with camera.open():
        assert (await camera.read()).width == 640


async def test_reading_a_closed_one_is_lost(camera: Camera) -> None:
    with pytest.raises(DeviceLost):
        await camera.read()


# --- what only the virtual one can show ---


async def test_numbers_in_the_virtual_picture_grow_and_go_on_after_reopening() -> None:
    camera = virtual()
    numbers = []
    for _ in range(2):
        async with camera.open():
            numbers += [read_frame_number(luma(await camera.read())) for _ in range(5)]
    assert None not in numbers
    assert numbers == sorted(set(numbers))  # type: ignore[type-var]


async def test_unplugging_the_virtual_one_ends_a_waiting_read() -> None:
    camera = VirtualCamera(CameraSettings(frames_per_second=5))
    async with camera.open():
        await camera.read()
        waiting = asyncio.create_task(camera.read())
        await asyncio.sleep(0)
        camera.unplug()
        with pytest.raises(DeviceLost, match="unplugged"):
            await waiting
    with pytest.raises(DeviceMissing):
        async with camera.open():
            pass
    camera.plug_in()
    async with camera.open():
        await camera.read()


async def test_a_usb_camera_that_is_not_plugged_in_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DeviceMissing, match="not plugged in"):
        async with UsbCamera(CameraSettings(device=str(tmp_path / "video7"))).open():
            pass


async def test_a_file_that_is_no_camera_is_missing(tmp_path: Path) -> None:
    (tmp_path / "video7").write_bytes(b"no camera")
    with pytest.raises(DeviceMissing, match="video7"):
        async with UsbCamera(CameraSettings(device=str(tmp_path / "video7"))).open():
            pass


def test_usb_cameras_are_found_by_their_socket(tmp_path: Path) -> None:
    for name in (
        "platform-x-usb-0:1.2:1.0-video-index0",
        "platform-x-usb-0:1.2:1.0-video-index1",
        "platform-csi-video-index0",
    ):
        (tmp_path / name).touch()
    assert usb_cameras(tmp_path) == [str(tmp_path / "platform-x-usb-0:1.2:1.0-video-index0")]
