/* On Windows AUX is a device, with any ending. Here it is a name like any other. */
int main(void) { return 0; }
