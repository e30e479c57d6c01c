# Mercurial, loaded once. For each request this process makes a copy of itself
# (fork), which starts as fresh as a new one and at a tenth of the cost.
#
# A request is one byte on the socket at standard input, with four descriptors:
# input, output, errors and status. The input begins with eight digits, the
# length of what follows: the environment, an empty entry and the words of an
# hg command, each ended by NUL. Without words it is one request of HTTP, as
# CGI, for HG_REPOSITORY. The exit status is written to the last descriptor.
# Everything ends when the other side of the socket is closed.
import gc
import os
import signal
import socket
import traceback

from mercurial import commands, dispatch
from mercurial.hgweb import hgweb, wsgicgi
from mercurial.utils import procutil

for extension in ("topic", "evolve"):
    try:
        __import__("hgext3rd." + extension)
    except ImportError:
        pass


def read(fd, size):
    data = b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            raise EOFError("the request breaks off")
        data += more
    return data


def answer():
    env, words = read(0, int(read(0, 8))).split(b"\0\0", 1)
    os.environb.clear()
    for entry in env.split(b"\0"):
        name, value = entry.split(b"=", 1)
        os.environb[name] = value
    words = words.split(b"\0")[:-1]
    if words:
        return dispatch.dispatch(dispatch.request(words)) or 0
    wsgicgi.launch(hgweb(os.environb[b"HG_REPOSITORY"]))
    return 0


def serve(control, fds):
    control.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
        os.close(fd)
    code = 255
    try:
        code = answer() & 255
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 255
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        procutil.stdout.flush()
        os.write(fds[3], b"%d" % code)
        os._exit(0)


def main():
    control = socket.socket(fileno=os.dup(0))
    # A transaction is rolled back by whom it belongs to, not by Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1, 4)
        if not data:
            return
        if os.fork() == 0:
            serve(control, fds)
        for fd in fds:
            os.close(fd)


main()
