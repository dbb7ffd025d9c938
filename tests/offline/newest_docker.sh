#!/bin/sh
# Runs dockerd from a Debian tree in a network, mount and process namespace of its own: it cannot touch the host's daemon,
# its bridge or its packet filter. Arguments: the tree, and a host folder in which the socket appears.
set -e
tree=$1 socket=$2
mount --make-rprivate /
mount --bind "$tree" "$tree"  # Docker's loader wants its root to be a mount
ip link set lo up
mount --rbind /sys "$tree/sys"
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/run"
mkdir -p "$tree/run/tested" "$tree/old"
mount --bind "$socket" "$tree/run/tested"
cd "$tree"
pivot_root . old
exec /usr/sbin/dockerd --host unix:///run/tested/docker.sock --data-root /var/lib/tested \
    --exec-root /run/dockerexec --pidfile /run/dockerpid
