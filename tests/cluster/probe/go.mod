module cluster.invalid/probe

go 1.21
