import Host
print("hello")
