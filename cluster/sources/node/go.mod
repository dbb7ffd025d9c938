module cluster.invalid/node

go 1.21
