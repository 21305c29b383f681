"""What is not HTTP: TLS of OpenSSL, Redis, and PostgreSQL and Kafka by hand (first bytes only). None keeps a log."""

import socket
import struct
import subprocess
import time

from .bed import Case, listen, start, wait_for

TLS, REDIS, POSTGRES, KAFKA = 8501, 8502, 8503, 8504


def tls(*options):
    def run():
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{TLS}", "-servername", "models.example", *options]
        subprocess.run(command, input=b"Q\n", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10, check=False)

    return run


def redis():
    with socket.create_connection(("127.0.0.1", REDIS)) as connection:
        for command in [b"*1\r\n$4\r\nPING\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n", b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"]:
            connection.sendall(command)
            connection.recv(4096)


def by_hand(port, request):
    def run():
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            connection.recv(4096)
            time.sleep(0.02)

    return run


def answers(answer):
    def serve(connection):
        connection.recv(4096)
        connection.sendall(answer)
        connection.recv(4096)
        connection.close()

    return serve


PARAMETERS = b"user\0iris\0database\0models\0\0"
STARTUP = struct.pack(">II", 8 + len(PARAMETERS), 196608) + PARAMETERS
READY = b"R" + struct.pack(">II", 8, 0) + b"Z" + struct.pack(">I", 5) + b"I"
# ApiVersions, version 0, of the client "iris".
API_VERSIONS = struct.pack(">ihhih", 14, 18, 0, 1, 4) + b"iris"
VERSIONS = struct.pack(">iihi", 10, 1, 0, 0)

CASES = {
    "tls13": Case(TLS, tls("-alpn", "h2,http/1.1")),
    "tls12": Case(TLS, tls("-tls1_2", "-alpn", "h2")),
    "redis": Case(REDIS, redis),
    "postgres_by_hand": Case(POSTGRES, by_hand(POSTGRES, STARTUP)),
    "kafka_by_hand": Case(KAFKA, by_hand(KAFKA, API_VERSIONS)),
}


def start_servers(root):
    key, certificate = root / "key.pem", root / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=models.example", "-keyout", key, "-out", certificate]
    subprocess.run(make, check=True, stderr=subprocess.DEVNULL)
    listen(POSTGRES, answers(READY))
    listen(KAFKA, answers(VERSIONS))
    servers = start(
        ["openssl", "s_server", "-accept", str(TLS), "-key", key, "-cert", certificate, "-alpn", "h2,http/1.1", "-quiet"],
        ["redis-server", "--port", str(REDIS), "--save", "", "--dir", root],
    )
    for port in [TLS, REDIS]:
        wait_for(port)
    return servers
