"""Files made of other files of the node."""

import os


def joined(name, sources, mode="0644"):
    """
    The file holds the concatenation of ``sources``.

    name
        Path of the file.
    sources
        Paths of text files on the node, in order, for example the CA certificates of a trust bundle.
    mode
        Permissions, as an octal string.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"{name} is right"}
    absent = [path for path in sources if not os.path.isfile(path)]
    if absent:
        ret["comment"] = f"{name} needs {', '.join(absent)}: what makes them must come first"
        ret["result"] = None if __opts__["test"] else False
        return ret
    wanted = ""
    for path in sources:
        with open(path, encoding="utf-8") as handle:
            wanted += handle.read().rstrip("\n") + "\n"
    found = None
    if os.path.isfile(name):
        with open(name, encoding="utf-8") as handle:
            found = handle.read()
    if found == wanted and os.stat(name).st_mode & 0o777 == int(str(mode), 8):
        return ret
    ret["changes"] = {"joined": list(sources)}
    if __opts__["test"]:
        ret.update(result=None, comment=f"{name} would be written")
        return ret
    __utils__["kaas_file.write"](name, wanted, mode=int(str(mode), 8))
    ret["comment"] = f"{name} was written"
    return ret
