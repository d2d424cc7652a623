"""Object storage for the tests: moto's server on loopback, which checks signatures and policies; in memory, gone with its process."""

import json
import os
import subprocess
import sys
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ConnectionError as NoAnswer

from .catalogs import free_port

BUCKET = "penumbra-tests"
UNSIGNED = 4  # requests that the server takes unsigned: those that make the user, the key, its policy and the bucket
WAIT_S = 60.0
ALL = [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]


class Storage:
    """A server with one bucket and one user; `environment` is what penumbra needs to reach it."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", self.url.rpartition(":")[2]]
        environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(UNSIGNED)}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._iam = self._client("iam", "first", "request")
        started = time.monotonic()
        while True:
            try:
                self._iam.create_user(UserName="penumbra")
                break
            except NoAnswer:
                assert self._process.poll() is None
                assert time.monotonic() - started < WAIT_S
                time.sleep(0.1)
        key = self._iam.create_access_key(UserName="penumbra")["AccessKey"]
        self.key, self.secret = key["AccessKeyId"], key["SecretAccessKey"]
        self.allow(ALL)
        self._client("s3", "first", "request").create_bucket(Bucket=BUCKET)
        self.client = self._client("s3", self.key, self.secret)
        self._iam = self._client("iam", self.key, self.secret)
        self.environment = {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.url,
            "PENUMBRA_FILES": f"s3://{BUCKET}/stores",
        }

    def _client(self, service: str, key: str, secret: str) -> Any:
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=2)
        options = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
        return boto3.client(service, endpoint_url=self.url, config=once, **options)

    def allow(self, statements: list[dict[str, Any]]) -> None:
        """What the user may do from now on."""
        policy = {"Version": "2012-10-17", "Statement": [*statements, {"Effect": "Allow", "Action": "iam:*", "Resource": "*"}]}
        self._iam.put_user_policy(UserName="penumbra", PolicyName="own", PolicyDocument=json.dumps(policy))

    def keys(self, address: str = f"s3://{BUCKET}") -> list[str]:
        """The objects below an address."""
        prefix = address.removeprefix(f"s3://{BUCKET}").lstrip("/")
        return [entry["Key"] for entry in self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]

    def bytes_of(self, address: str) -> bytes:
        return b"".join(key.encode() + self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in self.keys(address))

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
