#!/bin/bash
# First and only process of a guest: ask the verifier, run the tests, hand the results out, switch off.
# Started by the kernel as /init of its initramfs; /settings says where the checkout lies and what to run.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 NO_COLOR=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /run/results /tmp
mount -t devpts devpts /dev/pts
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
ip link set lo up
# a namespace of a test has the links that the test made, whatever tunnels another one loaded the module of
echo 1 >/proc/sys/net/core/fb_tunnels_only_for_init_net
modprobe tun # makes /dev/net/tun; nobody else does here

# shellcheck source=/dev/null
. /settings
cd "$CHECKOUT" || exit
results=/run/results
echo "guest: $(uname -r) is up"
.venv/bin/python -m tools.kernels.verifier build/tcmicro.bpf.o >"$results/verifier.json"
echo "guest: verifier done"
# shellcheck disable=SC2086
.venv/bin/python -m pytest -v -p no:cacheprovider --durations=25 --junit-xml="$results/junit.xml" $TESTS
echo "guest: tests done"

# The second serial line is the way out; raw, or the terminal would translate line ends.
stty -F /dev/ttyS1 raw
tar --create --gzip --directory="$results" . | cat >/dev/ttyS1
echo o >/proc/sysrq-trigger
sleep infinity
