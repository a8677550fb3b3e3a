"""A visitor without a browser: one session of Streamlit through its websocket, as its own front end speaks to it.

    async with Visitor(address) as visitor:
        seen = await visitor.link("", clip="bow", checkpoint="gym-none")     # a link that is opened: a new session
        seen = await visitor.choose(seen, "Clip", "kick left")               # a widget, by its label
        seen = await visitor.upload(seen, "Video", "clip.webm", data)
        seen = await visitor.go("trust")                                     # the navigation

What comes back is a `Seen`: the elements of the page after the run, whether it raised, and how long it took.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

PATIENCE = 240.0
"""Seconds without an end of the run after which something is wrong."""


class LostError(RuntimeError):
    """The run did not end, or the connection broke."""


@dataclass(frozen=True)
class Seen:
    """A page as it stands after a run."""

    elements: dict[tuple[int, ...], Any]
    seconds: float
    bytes: int
    finished: bool

    def of(self, kind: str) -> list[Any]:
        """All elements of a kind, in the order of the page."""
        found = [self.elements[place] for place in sorted(self.elements)]
        return [getattr(each, kind) for each in found if each.WhichOneof("type") == kind]

    @property
    def exceptions(self) -> list[str]:
        return [f"{each.type}: {each.message[:200]}" for each in self.of("exception")]

    @property
    def alarms(self) -> list[str]:
        """What `st.error` says: expected of hostile input only."""
        return [each.body for each in self.of("alert") if each.format == each.ERROR]

    @property
    def readings(self) -> list[dict[str, Any]]:
        """The payloads of the players on the page."""
        found: list[dict[str, Any]] = []
        for each in self.of("bidi_component"):
            data = json.loads(each.json) if each.WhichOneof("data") == "json" else None
            if isinstance(data, dict) and "readings" in data:
                found += data["readings"]
        return found


@dataclass(eq=False)
class Visitor:
    """One session. Not for two tasks at once."""

    address: str
    session: str = ""
    query: str = ""
    page: str = ""
    _script: str = ""
    """Of the page that is shown: a run that does not name it is a change of page, which forgets what widgets say."""
    _socket: ClientConnection | None = None
    _widgets: dict[str, WidgetState] = field(default_factory=dict)
    _kept: dict[str, bytes] = field(default_factory=dict)
    """Messages by hash, as a front end keeps them: the server then sends the hash alone."""
    _elements: dict[tuple[int, ...], Any] = field(default_factory=dict)
    _bytes: int = 0

    async def __aenter__(self) -> Self:
        url = self.address.replace("http", "ws", 1) + "/_stcore/stream"
        protocol = [Subprotocol("streamlit")]
        self._socket = await connect(url, subprotocols=protocol, max_size=None, open_timeout=60, ping_timeout=None)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None:
            await self._socket.close()

    # ---- What a visitor does ---------------------------------------------------------------------------------------

    async def link(self, page: str, **query: str) -> Seen:
        """Open a link, as in a new tab: a session of its own, the old one is closed."""
        if self.session:
            await self.__aexit__()
            self.session = ""
            self._kept.clear()
            await self.__aenter__()
        self.page, self.query = page, urllib.parse.urlencode(query)
        self._widgets.clear()
        self._script = ""
        return await self._run()

    async def go(self, page: str) -> Seen:
        """Another page of the same session, by the navigation."""
        self.page, self.query = page, ""
        self._widgets.clear()
        self._script = ""
        return await self._run()

    async def again(self) -> Seen:
        """The same page once more, with the widgets as they are."""
        self._widgets |= self._shown_choices()
        return await self._run()

    async def choose(self, seen: Seen, label: str, value: str) -> Seen:
        """Another option of a select box."""
        box = next(each for each in seen.of("selectbox") if each.label == label)
        self._widgets |= self._shown_choices()
        self._widgets[box.id] = WidgetState(id=box.id, string_value=value)
        if box.query_param_key:  # a front end writes a choice into the address before it asks for the run
            self.query = urllib.parse.urlencode(dict(urllib.parse.parse_qsl(self.query)) | {box.query_param_key: value})
        return await self._run()

    def _shown_choices(self) -> dict[str, WidgetState]:
        """What the select boxes of the page show: a front end sends the state of all its widgets, touched or not."""
        boxes = [each.selectbox for each in self._elements.values() if each.WhichOneof("type") == "selectbox"]
        values = {each.id: each.raw_value if each.set_value else each.options[each.default] for each in boxes
                  if each.set_value or each.HasField("default")}  # fmt: skip
        return {
            key: WidgetState(id=key, string_value=value) for key, value in values.items() if key not in self._widgets
        }

    async def upload(self, seen: Seen, label: str, name: str, data: bytes) -> Seen:
        """Give a file to an uploader."""
        place = next(each for each in seen.of("file_uploader") if each.label.startswith(label))
        message = BackMsg()
        message.file_urls_request.request_id = str(uuid.uuid4())
        message.file_urls_request.file_names.append(name)
        message.file_urls_request.session_id = self.session
        answer = await self._ask(message, lambda each: each.HasField("file_urls_response"))
        urls = answer.file_urls_response.file_urls[0]
        await asyncio.to_thread(self._put, urls.upload_url, name, data)
        state = WidgetState(id=place.id)
        file = state.file_uploader_state_value.uploaded_file_info.add()
        file.name, file.size, file.file_id = name, len(data), urls.file_id
        file.file_urls.CopyFrom(urls)
        self._widgets[place.id] = state
        return await self._run()

    def _put(self, url: str, name: str, data: bytes) -> None:
        with urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=PATIENCE) as response:
            cookies = response.headers.get_all("Set-Cookie") or []
        token = next((c.split(";")[0].split("=", 1)[1] for c in cookies if c.startswith("_streamlit_xsrf=")), "")
        edge = uuid.uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        request = urllib.request.Request(
            urllib.parse.urljoin(self.address, url), head + data + f"\r\n--{edge}--\r\n".encode(), method="PUT",
            headers={
                "Content-Type": f"multipart/form-data; boundary={edge}", "X-Xsrftoken": token,
                "Cookie": f"_streamlit_xsrf={token}",
            },
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=PATIENCE):
            pass

    # ---- The protocol ----------------------------------------------------------------------------------------------

    async def _run(self) -> Seen:
        message = BackMsg()
        state = message.rerun_script
        state.query_string = self.query
        if self._script:
            state.page_script_hash = self._script
        else:
            state.page_name = self.page
        state.widget_states.widgets.extend(self._widgets.values())
        state.cached_message_hashes.extend(self._kept)
        state.context_info.timezone, state.context_info.locale, state.context_info.color_scheme = "UTC", "en", "light"
        state.context_info.url = f"{self.address}/{self.page}"
        start, self._elements, self._bytes = time.perf_counter(), {}, 0
        ended = await self._ask(message, lambda each: each.HasField("script_finished"))
        fine = ended.script_finished in (
            ForwardMsg.FINISHED_SUCCESSFULLY,
            ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY,
        )
        return Seen(self._elements, time.perf_counter() - start, self._bytes, fine)

    async def _ask(self, message: BackMsg, ends: Callable[[ForwardMsg], bool]) -> ForwardMsg:
        assert self._socket is not None
        try:
            await self._socket.send(message.SerializeToString())
            async with asyncio.timeout(PATIENCE):
                while True:
                    data = await self._socket.recv()
                    assert isinstance(data, bytes)
                    found = ForwardMsg()
                    found.ParseFromString(data)
                    self._bytes += len(data)
                    self._take(found, data)
                    if ends(found) and not (
                        found.HasField("script_finished")
                        and found.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN
                    ):
                        return found
        except Exception as error:  # a timeout, a connection that broke
            raise LostError(f"{self.page or 'explore'}?{self.query}: {type(error).__name__} {error}") from error

    def _take(self, message: ForwardMsg, data: bytes) -> None:
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            place = list(message.metadata.delta_path)
            held = ForwardMsg()
            held.ParseFromString(self._kept[message.ref_hash])
            message = held
            del message.metadata.delta_path[:]
            message.metadata.delta_path.extend(place)
            kind = message.WhichOneof("type")
        elif message.metadata.cacheable and message.hash:
            self._kept[message.hash] = data
        if kind == "new_session":
            self.session = message.new_session.initialize.session_id
        elif kind == "navigation":
            self._script = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self._elements[tuple(message.metadata.delta_path)] = message.delta.new_element
