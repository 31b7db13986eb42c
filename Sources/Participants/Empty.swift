internal import AsyncHTTPClient
internal import CPostgres
internal import NIOHTTP1
