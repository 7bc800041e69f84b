"""One kiosk for many tests: brought back to where each of them begins."""

import time

from tests.support.control_client import FINGER_S, ControlClient
from tests.support.processes import wait_for
from tests.support.rest_caller import RestCaller, RestFailure
from tests.support.stack import KIOSK, ROOM, Stack


def alone_in_its_room(stack: Stack) -> None:
    """Have the kiosk run and be in its room, heard and without company, whatever the test before has left."""
    if not stack.kiosk.running:
        stack.kiosk.start()
    with stack.control() as control:
        if control.state()["state"] == "idle":
            come_back(control)
        wait_for("the kiosk is in its room", lambda: control.state()["state"] == "in_room")
        if control.state()["mic"] == "muted":
            control.tap("mute")
            wait_for("it is heard", lambda: control.state()["mic"] != "muted")
    call, people = RestCaller(stack), f"/v1/Rooms/{ROOM}/Participants"

    def others() -> list[str]:
        there = [each["identity"] for each in call("GET", people)["participants"] if each["status"] != "disconnected"]
        return [identity for identity in there if identity != KIOSK]

    for identity in others():  # a page that was closed has not said that it goes
        try:
            call("POST", f"{people}/{identity}", {"Status": "disconnected"})
        except RestFailure as failure:
            if failure.status != 404:  # it has gone meanwhile
                raise
    wait_for("nobody else is there", lambda: others() == [])


def come_back(control: ControlClient) -> None:
    """Hold the leave button until the idle kiosk joins."""
    control.press("leave", "release")
    time.sleep(FINGER_S)
    control.press("leave")
    wait_for("the kiosk joins", lambda: control.state()["state"] != "idle")
    control.press("leave", "release")
