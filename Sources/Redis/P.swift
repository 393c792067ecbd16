import NIOCore
import NIOPosix
import NIOSSL
import Subprocess
import CHiredis
