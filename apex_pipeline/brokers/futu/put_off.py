"""A module that is imported late: Futu's SDK imports one for tables that nobody asks for. Standard library only."""

import importlib
import sys
from types import ModuleType
from typing import Any


class PutOff(ModuleType):
    """A module that is imported when something of it is first wanted; importlib's LazyLoader does so at once."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system looks at the module, nobody at what is in it
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
