# The guest's first process: prepares the system, runs the command that the host left in the channel, and powers off.
# The root is the host's, read-only; what is printed here goes to the kernel's console. It uses what every Debian has,
# and few processes: starting one takes some 20 ms under emulation.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# Before all others: mount(8) reads the mount table in /proc, and what the shared root shows there is the host's own.
mount -t proc proc /proc
mount --all --fstab "${0%.sh}.fstab"
ip link set lo up

# The host's root once more, without what now lies over it: the command may have to run in a folder below the host's /tmp.
mkdir /run/root
mount --bind / /run/root

# The kernel's own /boot, which holds its configuration: what reads that looks here.
mount --bind "/run/root$(cat /run/channel/boot)" /boot

# Elsewhere udev makes these; without them `> /dev/stderr` would make a file.
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr

# The modules lie in a cache folder, not in /lib/modules: the kernel's own requests for them are sent there.
echo /run/channel/modprobe > /proc/sys/kernel/modprobe

# Pipes, not the files themselves: a command may open /dev/stderr anew, which would truncate a file. SIGTERM is ignored
# so that the readers outlive what the command left running.
mkfifo /run/stdout /run/stderr
(trap '' TERM; exec cat /run/stdout) > /run/channel/stdout &
(trap '' TERM; exec cat /run/stderr) > /run/channel/stderr &

sh /run/channel/command < /dev/null > /run/stdout 2> /run/stderr
status=$?

# A process that the command left running would hold the pipes open.
kill -TERM -1
wait
sync
echo "$status" > /run/channel/status
echo o > /proc/sysrq-trigger
exec sleep infinity
