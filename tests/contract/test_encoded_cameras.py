"""Every camera that encodes by itself keeps the promises of EncodedCamera; and the worker behind it dies well."""

import asyncio
import os
import signal
from pathlib import Path

import av
import pytest

from appliance.devices.cameras.base import CameraSettings, EncodedCamera, EncodedFrame
from appliance.devices.cameras.pi import PiEncodedCamera, camera_modules
from appliance.devices.conversion import luma
from appliance.errors import DeviceBusy, DeviceLost, DeviceMissing
from tests.support.device_capture_workers import real_picamera2_missing, real_worker, standin_worker


def on(command: tuple[str, ...]) -> PiEncodedCamera:
    return PiEncodedCamera(
        CameraSettings(device="csi:0", width_px=1280, height_px=720, bitrate_bps=1_000_000, worker_command=command)
    )


def on_the_standin() -> EncodedCamera:
    return on(standin_worker())


def on_libcamera() -> EncodedCamera:
    if why := real_picamera2_missing():
        pytest.skip(why)
    return on(real_worker())


@pytest.fixture(params=[on_the_standin, pytest.param(on_libcamera, marks=pytest.mark.hardware)])
def camera(request: pytest.FixtureRequest) -> EncodedCamera:
    made: EncodedCamera = request.param()
    return made


def nal_kinds(unit: EncodedFrame) -> list[int]:
    parts = unit.data.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01")
    return [part[0] & 0x1F for part in parts if part]


async def read_until_keyframe(camera: EncodedCamera, at_most: int = 60) -> int:
    for count in range(1, at_most + 1):
        if (await camera.read()).keyframe:
            return count
    raise AssertionError(f"no key frame in {at_most} frames")


async def test_the_first_frame_is_a_key_frame_after_parameters_of_constrained_baseline_at_level_3_1(
    camera: EncodedCamera,
) -> None:
    async with camera.open():
        first = await camera.read()
    assert first.keyframe
    kinds = nal_kinds(first)
    assert kinds.index(7) < kinds.index(8) < kinds.index(5)

    sps = first.data[first.data.index(b"\x00\x00\x01\x67") + 4 :]
    assert sps[0] == 66
    assert sps[1] & 0x40
    assert sps[2] <= 31


async def test_every_unit_decodes_and_time_grows(camera: EncodedCamera) -> None:
    decoder = av.CodecContext.create("h264", "r")
    pictures, times = [], []
    async with camera.open():
        for _ in range(20):
            unit = await camera.read()
            times.append(unit.pts_90k)
            pictures += decoder.decode(av.Packet(unit.data))  # type: ignore[attr-defined]
    pictures += decoder.decode(None)  # type: ignore[attr-defined]
    assert len(pictures) == 20
    assert {(picture.width, picture.height) for picture in pictures} == {(1280, 720)}
    assert times == sorted(set(times))
    assert luma(pictures[0]).std() > 5


async def test_a_requested_key_frame_comes_soon_and_only_once(camera: EncodedCamera) -> None:
    async with camera.open():
        await read_until_keyframe(camera)
        for _ in range(10):
            assert not (await camera.read()).keyframe
        for _ in range(5):
            camera.request_keyframe()
        assert await read_until_keyframe(camera, at_most=15) > 0
        following = [(await camera.read()).keyframe for _ in range(15)]
    assert not any(following)


async def test_another_bitrate_shows_in_the_size_of_the_frames_and_time_goes_on(camera: EncodedCamera) -> None:
    times: list[int] = []

    async def read() -> EncodedFrame:
        unit = await camera.read()
        times.append(unit.pts_90k)
        return unit

    async with camera.open():
        await read()
        before = sum([len((await read()).data) for _ in range(45)])
        camera.set_bitrate(200_000)
        async with asyncio.timeout(10):
            while not (await read()).keyframe:
                pass
            after = sum([len((await read()).data) for _ in range(45)])
    assert after < before / 2
    assert times == sorted(set(times))


async def test_the_self_view_gets_small_pictures(camera: EncodedCamera) -> None:
    async with camera.open():
        preview = await camera.preview()
    assert preview is not None
    assert (preview.format.name, preview.width, preview.height) == ("yuv420p", 320, 180)


async def test_it_is_busy_while_open_and_can_be_opened_again(camera: EncodedCamera) -> None:
    async with camera.open():
        await camera.read()
        with pytest.raises(DeviceBusy):
            async with camera.open():
                pass
    async with camera.open():
        assert (await camera.read()).keyframe


# --- the worker ---


def gone(process_id: int) -> bool:
    return not Path(f"/proc/{process_id}").exists()


async def test_closing_ends_the_worker() -> None:
    camera = on(standin_worker())
    async with camera.open():
        worker = camera.worker_process_id
        assert worker is not None
        assert not gone(worker)
    assert gone(worker)


async def read_on(camera: PiEncodedCamera, worker_signal: signal.Signals | None, workers: list[int]) -> None:
    """Read until the camera is lost, after a signal to its worker, whose process id is put on the list."""
    async with camera.open():
        await camera.read()
        assert camera.worker_process_id is not None
        workers.append(camera.worker_process_id)
        if worker_signal is not None:
            os.kill(camera.worker_process_id, worker_signal)
        while True:
            await camera.read()


async def test_a_killed_worker_is_a_lost_camera_and_the_next_opening_has_a_new_one() -> None:
    camera, workers = on(standin_worker()), list[int]()
    with pytest.raises(DeviceLost, match="ended"):
        await read_on(camera, signal.SIGKILL, workers)
    async with camera.open():
        assert camera.worker_process_id not in workers
        assert (await camera.read()).keyframe


async def test_a_worker_that_hangs_is_lost_within_the_deadline_and_killed() -> None:
    workers: list[int] = []
    with pytest.raises(DeviceLost, match="nothing for 3 s"):
        await read_on(on(standin_worker()), signal.SIGSTOP, workers)
    assert gone(workers[0])


async def test_a_camera_that_stalls_is_lost() -> None:
    with pytest.raises(DeviceLost, match="nothing for 3 s"):
        await read_on(on(standin_worker("stall")), None, [])


async def test_a_camera_that_hangs_while_it_stops_is_killed() -> None:
    camera = on(standin_worker("hang_stop"))
    async with camera.open():
        await camera.read()
        worker = camera.worker_process_id
        assert worker is not None
    assert gone(worker)


async def test_a_camera_that_is_not_there_is_missing() -> None:
    with pytest.raises(DeviceMissing, match="no camera 0"):
        async with on(standin_worker("none")).open():
            pass


async def test_a_camera_held_by_another_process_is_busy() -> None:
    with pytest.raises(DeviceBusy, match="busy"):
        async with on(standin_worker("busy")).open():
            pass


async def test_a_worker_that_cannot_be_run_is_missing() -> None:
    with pytest.raises(DeviceMissing, match="no-such-python"):
        async with on(("/no-such-python", "x.py")).open():
            pass


async def test_a_program_that_is_no_worker_is_missing() -> None:
    with pytest.raises((DeviceMissing, DeviceLost)):
        async with on(("true",)).open():
            pass


async def test_modules_are_listed_and_none_without_picamera2() -> None:
    assert await camera_modules(standin_worker()) == [(0, "standin")]
    assert await camera_modules(standin_worker("none")) == []
    assert await camera_modules(("true",)) == []


async def test_a_worker_ends_with_its_parents_socket_even_while_a_call_hangs() -> None:
    camera = on(standin_worker("hang_stop"))
    opened = camera.open()
    await opened.__aenter__()
    worker = camera.worker_process_id
    link = camera._link
    assert worker is not None
    assert link is not None
    assert link._process is not None
    link._send({"do": "close"})  # hangs in there for good
    assert link._socket is not None
    link._socket.shutdown(2)  # as the kernel does when a parent dies
    async with asyncio.timeout(5):
        await link._process.wait()
    assert gone(worker)
    await opened.__aexit__(None, None, None)
