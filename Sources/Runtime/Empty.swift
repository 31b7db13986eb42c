internal import Crypto
internal import NIOCore
