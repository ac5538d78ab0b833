from kvcy._core import Store

class Filler:
    keys: int
    expired: int
    def __init__(self, store: Store) -> None: ...

def count_keys(store: Store) -> int: ...
