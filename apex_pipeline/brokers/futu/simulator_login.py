"""How a simulated OpenD greets a connection: the handshake with its keys, keep-alives and the state of the login."""

import time
from dataclasses import dataclass
from itertools import count
from typing import Any, final

from apex_pipeline.brokers.futu.simulator_faults import Fault, FaultPlan
from apex_pipeline.brokers.futu.simulator_messages import number64
from apex_pipeline.brokers.futu.simulator_rules import Language, RefusalError, text
from apex_pipeline.brokers.futu.simulator_wire import SessionCipher

NO_ENCRYPTION, AES_CBC = -1, 2
_KEEP_ALIVE_SECONDS, _SERVER_VERSION, _USER_ID, _MARKET_CLOSED, _READY = 10, 1011, 10_000_001, 6, 10


@dataclass(slots=True)
class Peer:
    """One connection: its encryption, after InitConnect its id, and a notice that is to be pushed to it."""

    cipher: SessionCipher
    conn_id: int = 0
    notice: str = ""


@final
class Login:
    """The login that all connections of a gateway share."""

    def __init__(self, faults: FaultPlan, language: Language) -> None:
        self._faults = faults
        self._language: Language = language
        self._connections = count(1)

    def init_connect(self, c2s: Any, s2c: Any, peer: Peer) -> None:
        """Open a session, encrypted if both sides can. Raises RefusalError."""
        if self._faults.strikes(Fault.REFUSE_INIT):
            raise RefusalError(text("init_refused", self._language))
        encrypted = peer.cipher.configured and c2s.packetEncAlgo != NO_ENCRYPTION
        if encrypted and c2s.packetEncAlgo != AES_CBC:
            raise RefusalError(text("cipher", self._language))
        number = next(self._connections)
        peer.conn_id = number64("connection", number)
        s2c.serverVer, s2c.loginUserID, s2c.connID = _SERVER_VERSION, _USER_ID, peer.conn_id
        s2c.keepAliveInterval = _KEEP_ALIVE_SECONDS
        s2c.connAESKey = ""
        if encrypted:
            s2c.connAESKey, s2c.aesCBCiv = _sixteen("key", number), _sixteen("iv", number)
            peer.cipher.secure(s2c.connAESKey, s2c.aesCBCiv)

    def global_state(self, _: Any, s2c: Any, peer: Peer) -> None:
        """Tell the time and whether the login stands."""
        s2c.marketHK = s2c.marketUS = s2c.marketSH = s2c.marketSZ = s2c.marketHKFuture = _MARKET_CLOSED
        s2c.qotLogined = s2c.trdLogined = Fault.LOGIN_LOST not in self._faults.active
        s2c.serverVer, s2c.serverBuildNo = _SERVER_VERSION, 7108
        s2c.time = int(time.time())
        s2c.localTime = time.time()
        s2c.programStatus.type = _READY
        s2c.connID = peer.conn_id

    def keep_alive(self, _: Any, s2c: Any, __: Peer) -> None:
        """Tell the time."""
        s2c.time = int(time.time())


def _sixteen(*parts: object) -> str:
    """Sixteen characters made of these parts: the form of session keys; nothing here is secret."""
    return f"{number64(*parts):016x}"
