"""A database client: asks the database over a socket, again and again; runs order.py of its folder if there is one."""

import os
import socket
import sys
import time

folder, port = sys.argv[1], int(sys.argv[2])
number = 0
while True:
    with socket.create_connection(("127.0.0.1", port)) as database, database.makefile("rw") as lines:
        for _ in range(10):
            lines.write(f"SELECT {number}\n")
            lines.flush()
            assert lines.readline().strip() == str(number)
            number += 1
            time.sleep(0.005)
    try:
        os.rename(f"{folder}/order.py", f"{folder}/taken.py")
        with open(f"{folder}/taken.py") as file:
            exec(file.read(), {"folder": folder})
    except FileNotFoundError:
        pass
