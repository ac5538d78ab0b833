"""The trio-native client. The modules beside this one, `stream` excepted, are the source of `kvcy.client._sync`."""
